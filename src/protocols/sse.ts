import type { ClosingFaultName } from "../errors.ts";
import type { Member } from "../bus/presence.ts";
import type { FanOut, GapPolicy, Subscription } from "../hub/subscription.ts";
import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";
import { memberOfToken, type CloseFrame, type Encoder, type Protocol, type ProtocolSession } from "./protocol.ts";

/** A browser waits so long before it reconnects. */
const RETRY_MS = 1000;

/** Each message is one event; on a channel with history its position is the event's id. */
export const sseEncoder: Encoder = {
  name: "sse",
  encode: (_, message, epoch, offset) => Buffer.from(formatMessage(message, epoch === "" ? null : formatPosition(epoch, offset))),
};

/** One channel as server-sent events (contract §4). One object a session. */
export class SseProtocol implements Protocol {
  readonly encoder = sseEncoder;
  readonly fanOut: FanOut;
  #opened = false;

  /** @param fanOut of the sse encoder over the topics of event streams */
  constructor(fanOut: FanOut) {
    this.fanOut = fanOut;
  }

  /** Opens a stream that has not joined. A second time does nothing. */
  open(session: ProtocolSession): void {
    if (this.#opened) return;
    this.#opened = true;
    session.send(formatOpening(RETRY_MS, null));
  }

  joined(session: ProtocolSession, { position, resumed }: Subscription): void {
    if (!this.#opened) session.send(formatOpening(RETRY_MS, position));
    else if (position !== null) session.send(formatPlace(position));
    this.#opened = true;
    if (resumed === false) session.send(formatReset(position));
  }

  receive(): void {
    // A stream has no frames of the client.
  }

  memberOf(session: ProtocolSession): Member | null {
    return memberOfToken(session);
  }

  gapPolicyOf({ target: { kind } }: Subscription): GapPolicy {
    return kind.ignoresGaps ? "ignore" : "report";
  }

  gap(session: ProtocolSession, _: Subscription, position: string | null): void {
    session.send(formatReset(position));
  }

  ended(session: ProtocolSession, _: Subscription, fault: ClosingFaultName): void {
    session.close(fault);
  }

  closeFrame(): CloseFrame {
    // The end of a stream says nothing of its reason.
    return { code: 1000 };
  }
}

/*
 * The text/event-stream format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** A comment: it keeps proxies from closing a quiet stream. */
export const HEARTBEAT = ":\n\n";

/**
 * The first event: the retry delay and the current position, so that a client can resume even if no message follows.
 *
 * @param retryMs milliseconds
 */
export function formatOpening(retryMs: number, position: string | null): string {
  return `retry: ${retryMs}\n${position === null ? "" : `id: ${position}\n`}\n`;
}

/** The position, for a stream that opened before it joined. */
export function formatPlace(position: string): string {
  return `id: ${position}\n\n`;
}

/** A message. The lines of a text end with LF, whatever ended them before; binary is an event of its own, in base64. */
export function formatMessage(message: Message, position: string | null): string {
  const id = position === null ? "" : `id: ${position}\n`;
  if (typeof message !== "string") return `${id}event: binary\ndata: ${Buffer.from(message).toString("base64")}\n\n`;
  return `${id}data: ${message.split(/\r\n|\r|\n/).join("\ndata: ")}\n\n`;
}

/** Messages may have been missed; what follows begins at the position. */
export function formatReset(position: string | null): string {
  return `${position === null ? "" : `id: ${position}\n`}event: reset\ndata: ${JSON.stringify({ position })}\n\n`;
}
