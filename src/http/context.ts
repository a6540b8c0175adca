import type { ClientHouse } from "../sessions/connection.ts";
import type { EventTopics } from "../sessions/event-topics.ts";
import type { Answers } from "./answers.ts";
import type { Rules } from "./rules.ts";
import type { Siblings } from "./siblings.ts";

/** What the routes need of the instance. */
export interface Instance {
  /** What holds now. What was decided by it before a wait is decided anew where it has changed. */
  readonly rules: Rules;
  /** What clients share: the hub, their places, the counts, the log. */
  readonly house: ClientHouse;
  readonly eventTopics: EventTopics;
  readonly answers: Answers;
  /** Where processes share the port. */
  readonly siblings: Siblings | undefined;
  readonly draining: () => boolean;
  /** @throws Problem `draining`, once the instance takes nothing new */
  readonly accept: () => void;
}
