import type { OpenBus } from "./bus.ts";
import { openMemoryBus } from "./memory/bus.ts";
import { openRedisBus } from "./redis/bus.ts";

/** Buses by the scheme of their url. */
const schemes: Readonly<Record<string, OpenBus>> = {
  "": openMemoryBus,
  "redis:": openRedisBus,
  "rediss:": openRedisBus,
};

export const openBus: OpenBus = (options, listener) => {
  const open = schemes[options.url.split("//")[0] ?? ""];
  if (open === undefined) throw new Error(`no bus for ${options.url.split("//")[0]}`);
  return open(options, listener);
};
