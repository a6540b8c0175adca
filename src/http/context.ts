import type { Config } from "../config/config.ts";
import type { ClientHouse } from "../clients/connection.ts";
import type { EventTopics } from "../clients/event-topics.ts";

/** What the routes need of the instance. */
export interface Instance {
  readonly config: Config;
  /** What clients share: the hub, their places, the counts, the log. */
  readonly house: ClientHouse;
  readonly eventTopics: EventTopics;
  readonly draining: () => boolean;
  /** @throws Problem `draining`, once the instance takes nothing new */
  readonly accept: () => void;
}
