import type { Bus, OpenBus } from "./bus.ts";
import { openMemoryBus } from "./memory/bus.ts";
import { openRedisBus } from "./redis/bus.ts";

/** Opens the bus of a url: the embedded one without, else Redis in the topology that the scheme names. */
export const openBus: OpenBus = (options, listener) => (options.url === "" ? openMemoryBus : openRedisBus)(options, listener);

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
