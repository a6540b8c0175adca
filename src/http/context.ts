import type { Config } from "../config/config.ts";
import type { Connections } from "../connections.ts";
import type { Hub } from "../hub.ts";
import type { Log } from "../log.ts";

/** What the routes need of the instance. */
export interface Instance {
  readonly config: Config;
  readonly log: Log;
  readonly hub: Hub;
  readonly connections: Connections;
  /** @throws Problem `draining`, once the instance takes nothing new */
  readonly accept: () => void;
}
