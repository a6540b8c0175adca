import { median } from "./median.ts";
import { faultNames, type Faults, type Measured } from "./plan.ts";

/** What one measurement comes down to. What there is nothing to divide by is null, in JSON too. */
export interface Figures {
  readonly deliveriesPerSecond: number | null;
  readonly serverUsPerDelivery: number | null;
  readonly redisUsPerMessage: number | null;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  readonly serverBytes: number | null;
  readonly bytesPerConnection: number | null;
  /** Shares of a core. */
  readonly serverBusy: number | null;
  readonly loadBusy: number | null;
  readonly othersBusy: number | null;
  readonly loadUsPerDelivery: number | null;
}

export type FigureName = keyof Figures;

/** With fewer, a server's memory grows by what its code takes, not by what they do. */
const MIN_CONNECTIONS = 1000;

export function figuresOf(measured: Measured, hasRedis: boolean): Figures {
  const { deliveries, published, seconds, connections } = measured;
  return {
    deliveriesPerSecond: divide(deliveries, seconds),
    serverUsPerDelivery: divide(measured.serverCpuUs, deliveries),
    redisUsPerMessage: hasRedis ? divide(measured.redisCpuUs, published) : null,
    p50Us: measured.p50Us,
    p99Us: measured.p99Us,
    serverBytes: measured.bytesAfter,
    bytesPerConnection: connections < MIN_CONNECTIONS ? null : divide(measured.bytesAfter - measured.bytesBefore, connections),
    serverBusy: divide(measured.serverCpuUs, seconds * 1e6),
    loadBusy: divide(measured.loadCpuUs, seconds * 1e6),
    othersBusy: divide(measured.othersCpuUs, seconds * 1e6),
    loadUsPerDelivery: divide(measured.loadCpuUs, deliveries),
  };
}

function divide(value: number, by: number): number | null {
  return by > 0 ? value / by : null;
}

/** The median of each figure. */
export function medians(all: readonly Figures[]): Figures {
  const of = (name: FigureName): number | null => median(all.flatMap((figures) => figures[name] ?? []));
  return {
    deliveriesPerSecond: of("deliveriesPerSecond"),
    serverUsPerDelivery: of("serverUsPerDelivery"),
    redisUsPerMessage: of("redisUsPerMessage"),
    p50Us: of("p50Us"),
    p99Us: of("p99Us"),
    serverBytes: of("serverBytes"),
    bytesPerConnection: of("bytesPerConnection"),
    serverBusy: of("serverBusy"),
    loadBusy: of("loadBusy"),
    othersBusy: of("othersBusy"),
    loadUsPerDelivery: of("loadUsPerDelivery"),
  };
}

export type Ratios = Partial<Record<FigureName, number>>;

/** The median over rounds of what each round divided by the same round of the control is: both saw the machine in one state. */
export function ratios(all: readonly Figures[], control: readonly Figures[]): Ratios {
  const found: Ratios = {};
  for (const name of ["deliveriesPerSecond", "serverUsPerDelivery", "redisUsPerMessage", "p50Us", "bytesPerConnection"] as const) {
    const each = all.flatMap((figures, round) => {
      const [value, by] = [figures[name], control[round]?.[name]];
      return typeof value === "number" && typeof by === "number" && by > 0 ? value / by : [];
    });
    const middle = median(each);
    if (middle !== null) found[name] = middle;
  }
  return found;
}

export function addFaults(all: readonly Faults[]): Faults {
  const sum = { lost: 0, doubled: 0, reordered: 0, strange: 0, closed: 0 };
  for (const faults of all) for (const name of faultNames) sum[name] += faults[name];
  return sum;
}
