import type { OnGap } from "../channels/kind.ts";
import type { ClosingFaultName } from "../errors.ts";

/** A local client of one channel, whatever carries it. */
export interface Subscriber {
  /** Who it is among those present; null: nobody in particular. */
  readonly subject: string | null;
  /**
   * What becomes of it when messages may have been missed: it is closed, it goes on, or it is told and goes on. It is told where
   * what follows begins, null on a channel without history, before it gets anything more.
   */
  readonly onGap: OnGap | ((position: string | null) => void);
  /** From now on, and until `unlisten`, it gets what is broadcast on the topic. */
  listen(topic: string): void;
  unlisten(topic: string): void;
  /** Closes it if more waits for it than may. */
  checkBacklog(): void;
  /** Sends it nothing more, then closes it. */
  retire(fault: ClosingFaultName): void;
}
