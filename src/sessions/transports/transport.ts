import type { Message } from "../../message.ts";

/** The connection of a session. */
export interface Transport {
  /** Bytes that the client has not read yet. */
  readonly waiting: number;
  send(frame: Message): void;
  listen(topic: string): void;
  unlisten(topic: string): void;
  /** Resolves once the client has read what it was sent, or is gone. */
  drained(): Promise<void>;
  /** The session closes: the end comes after everything that was sent before, and nothing is sent afterwards. */
  finish(): void;
  /** Cuts the connection; what still waits is lost. */
  terminate(): void;
  /** Keeps the connection alive, and cuts a dead one. `mayCut` is false after a stall of this process. */
  tend(nowMs: number, intervalMs: number, mayCut: boolean): void;
}

/** The session, as its transport sees it. */
export interface TransportOwner {
  /** A frame of the client. */
  receive(frame: Message): void;
  /** The close frame, at the moment in which it is sent. */
  closeFrame(): { readonly code: number; readonly reason?: string | undefined };
  /** The connection has ended. @param code of the close frame, where there was one */
  disconnected(code: number | undefined): void;
}
