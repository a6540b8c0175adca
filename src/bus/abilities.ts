import type { Bus } from "./bus.ts";
import type { History } from "./history.ts";
import type { Presence } from "./presence.ts";

/** The history of a bus. @throws Error where it keeps none, which `requireAbilities` has found at the start */
export function historyOf({ history }: Bus): History {
  if (history === undefined) throw new Error("this bus keeps no history");
  return history;
}

/** The presence of a bus. @throws Error where it has none, which `requireAbilities` has found at the start */
export function presenceOf({ presence }: Bus): Presence {
  if (presence === undefined) throw new Error("this bus has no presence");
  return presence;
}

/** The part of a kind of channel that a bus has to be able to serve. */
interface Needs {
  readonly path: string;
  /** Undefined where nothing is kept. */
  readonly history: object | undefined;
  readonly presence: boolean;
}

/**
 * Compares what a bus can do with what the configuration asks of it.
 *
 * @throws Error naming every kind, and the broadcasts, that ask for an ability which the bus lacks: a fault at start
 */
export function requireAbilities(bus: Bus, kinds: readonly Needs[], broadcasts: readonly unknown[] = []): void {
  const faults = kinds.flatMap(({ path, history, presence }) => [
    ...(history !== undefined && bus.history === undefined ? [`${path}: this bus keeps no history`] : []),
    ...(presence && bus.presence === undefined ? [`${path}: this bus does not know who is present`] : []),
  ]);
  if (broadcasts.length > 0 && bus.ticks === undefined) faults.push("broadcasts: this bus does not count ticks for the cluster");
  if (faults.length > 0) throw new Error(faults.join("; "));
}
