/*
 * The one table of faults: the HTTP answer (RFC 9110), the close code of a WebSocket (RFC 6455 §7.4), and whether a client should try
 * again.
 */

/** The meaning of a close code for a client. */
interface Closing {
  readonly when: string;
  readonly reconnect: "yes, at once" | "yes, later" | "with another token" | "no";
  /** On a channel with history, the reason is the position of the last message that was sent to the client. */
  readonly saysPosition: boolean;
}

const closingTable = {
  1001: { when: "the instance is draining", reconnect: "yes, at once", saysPosition: true },
  1002: { when: "a broken frame", reconnect: "no", saysPosition: false },
  1003: { when: "a binary frame where the channel has an envelope", reconnect: "no", saysPosition: false },
  1007: { when: "bad UTF-8, or a text that the channel's envelope cannot take", reconnect: "no", saysPosition: false },
  1008: { when: "over the message rate", reconnect: "yes, later", saysPosition: false },
  1009: { when: "a message over `max_message_bytes`", reconnect: "no", saysPosition: false },
  1011: { when: "an unexpected fault", reconnect: "yes, later", saysPosition: true },
  1013: {
    when: "the client reads too slowly, messages may have been missed, or what it sent could not be published",
    reconnect: "yes, at once",
    saysPosition: true,
  },
  3000: { when: "the token has expired", reconnect: "with another token", saysPosition: true },
  3003: { when: "it published without the right to, or was disconnected by the operator", reconnect: "no", saysPosition: false },
} as const satisfies Record<number, Closing>;

export type CloseCode = keyof typeof closingTable;

/** All close codes. Bun itself closes with 1002, with 1009, and with 1007 for bad UTF-8. */
export const closings: Readonly<Record<CloseCode, Closing>> = closingTable;

interface Fault {
  readonly title: string;
  /** HTTP status. */
  readonly status: number;
  /** WebSocket close code, if the fault can end a connection. */
  readonly close?: CloseCode;
  /** Seconds after which the same request may succeed; sent as `Retry-After`. */
  readonly retryAfter?: number;
}

const table = {
  "no-route": { title: "No such route", status: 404 },
  "wrong-method": { title: "Method not allowed", status: 405 },
  "foreign-origin": { title: "Origin not allowed", status: 403 },
  "too-many-connections": { title: "Too many connections", status: 503, retryAfter: 5 },
  "too-many-connections-of-address": { title: "Too many connections from this address", status: 429, retryAfter: 5 },
  "malformed-path": { title: "Malformed path", status: 400 },
  "no-channel": { title: "No such channel", status: 404 },
  unauthorized: { title: "No valid token", status: 401 },
  forbidden: { title: "Not allowed", status: 403, close: 3003 },
  disconnected: { title: "Disconnected by the operator", status: 403, close: 3003 },
  "token-expired": { title: "The token has expired", status: 401, close: 3000 },
  "malformed-request": { title: "Malformed request", status: 400 },
  "no-history": { title: "This channel keeps no history", status: 404 },
  "no-presence": { title: "This channel has no presence", status: 404 },
  "upgrade-required": { title: "Upgrade required", status: 426 },
  "unknown-subprotocol": { title: "Unknown subprotocol", status: 400 },
  "malformed-text": { title: "Malformed text", status: 400, close: 1007 },
  "binary-refused": { title: "Binary refused", status: 400, close: 1003 },
  "too-large": { title: "Message too large", status: 413, close: 1009 },
  "too-fast": { title: "Over the message rate", status: 429, close: 1008, retryAfter: 1 },
  "bus-away": { title: "The bus is away", status: 503, close: 1013, retryAfter: 1 },
  "not-confirmed": { title: "Not confirmed", status: 503, close: 1013, retryAfter: 1 },
  "queue-full": { title: "Too much waits for the bus", status: 503, close: 1013, retryAfter: 1 },
  "slow-reader": { title: "The client reads too slowly", status: 503, close: 1013 },
  gap: { title: "Messages may have been missed", status: 503, close: 1013 },
  "workers-away": { title: "Not every worker is there", status: 503, retryAfter: 1 },
  draining: { title: "The instance is draining", status: 503, close: 1001, retryAfter: 1 },
  internal: { title: "Internal error", status: 500, close: 1011 },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof table;
/** The faults that can end a WebSocket. */
export type ClosingFaultName = { [N in FaultName]: (typeof table)[N] extends { close: number } ? N : never }[FaultName];

export const faults: Readonly<Record<FaultName, Fault>> = table;

/** True for the faults that can end a WebSocket. */
export function isClosingFault(name: FaultName): name is ClosingFaultName {
  return faults[name].close !== undefined;
}

/** The close code of a fault that ends a WebSocket. */
export function closeCode(name: ClosingFaultName): CloseCode {
  return table[name].close;
}

/** The close frame names the position of the last message that was sent to the client. */
export function saysPosition(name: ClosingFaultName): boolean {
  return closings[closeCode(name)].saysPosition;
}

/** A fault that a client caused or has to know. Everything else that is thrown becomes `internal`. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly fault: FaultName;
  readonly headers: Readonly<Record<string, string>>;
  /** The subject of the client's token, for the log. */
  readonly subject: string | null;

  /** @param detail for the client to read: no internals, no secrets */
  constructor(fault: FaultName, detail: string, headers: Readonly<Record<string, string>> = {}, subject: string | null = null) {
    super(detail);
    this.fault = fault;
    this.headers = headers;
    this.subject = subject;
  }
}

/** Wrong arguments on the command line, or in the variables that stand for them. */
export class UsageError extends Error {}
