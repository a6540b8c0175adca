import type { RawProtocol } from "../protocols/raw/raw.ts";
import type { SseProtocol } from "../protocols/sse/sse.ts";
import type { SessionContext } from "../sessions/context.ts";
import type { StreamTopics } from "../sessions/transports/event-stream.ts";
import type { Answers } from "./answers.ts";
import type { Rules } from "./rules.ts";
import type { Siblings } from "./siblings.ts";

/** The protocols of this server. */
export interface Protocols {
  readonly raw: RawProtocol;
  readonly rawWithHello: RawProtocol;
  /** One for each session: it has state. */
  sse(): SseProtocol;
}

/** What the routes need of the instance. */
export interface Instance {
  /** What holds now. What was decided by it before a wait is decided anew where it has changed. */
  readonly rules: Rules;
  readonly sessions: SessionContext;
  readonly protocols: Protocols;
  readonly streamTopics: StreamTopics;
  readonly answers: Answers;
  /** Where processes share the port. */
  readonly siblings: Siblings | undefined;
  readonly draining: () => boolean;
  /** @throws Problem `draining`, once the instance takes nothing new */
  readonly accept: () => void;
}
