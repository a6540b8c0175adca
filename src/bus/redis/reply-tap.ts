import type { Socket } from "node:net";
import { integerAt, lineAt, ReplyEnd, replyEnd, stringAt } from "./resp.ts";

/*
 * Takes the replies that move messages out of Redis's stream before ioredis makes objects of them, which would cost more than
 * everything else that is done for a message: the messages of a subscriber, and the replies to commands that were written as bytes.
 * Everything else goes on to ioredis, in order, as it comes.
 *
 * It leans on internals of ioredis: one listener of its stream parses replies, and the next reply belongs to the first command of
 * its queue.
 */

/** Hears a message where it lies in the bytes that Redis sent: the bounds of its channel and of its payload. */
export type Received = (bytes: Buffer, channelStart: number, channelEnd: number, start: number, end: number) => void;

/** Takes the replies to a command that ioredis only queues. */
export interface Replies {
  /** True if it takes a reply of this type; otherwise ioredis does. */
  takes(type: number | undefined): boolean;
  /** Takes the reply at a place. Returns true with the last one. */
  take(bytes: Buffer, at: number): boolean;
  /** The command's result, once the last one is taken. */
  readonly result: string | null;
}

/** The commands that Redis has not answered yet. */
export interface UnansweredCommands {
  /** The replies of the first command; undefined where ioredis reads them. */
  first(): Replies | undefined;
  /** Removes the first command, which has all of its replies, and resolves it. */
  shift(): void;
}

/** The beginning of a pushed message after its first byte, which tells a push from a list (before RESP3 it was a list). */
const MESSAGE = Buffer.from("3\r\n$7\r\nmessage\r\n$");
const PUSH = 62; // >
const LIST = 42; // *
const ERROR = 45; // -
const STRING = 36; // $
const CR = 13;
const CRLF = 2;
/** Stands between the channel and the length of the payload. */
const BEFORE_PAYLOAD = "\r\n$";

/** The replies to several PUBLISH that go out as one command. */
export class PublishReplies implements Replies {
  readonly result = null;
  readonly #count: number;
  #answered = 0;
  #errors: Map<number, Error> | undefined;

  constructor(count: number) {
    this.#count = count;
  }

  /** The number of them that Redis has answered. */
  get answered(): number {
    return this.#answered;
  }

  /** Redis's refusal of one of those that it has answered. */
  errorOf(index: number): Error | undefined {
    return this.#errors?.get(index);
  }

  takes(): boolean {
    return true;
  }

  take(bytes: Buffer, at: number): boolean {
    if (bytes[at] === ERROR) (this.#errors ??= new Map()).set(this.#answered, new Error(lineAt(bytes, at + 1)));
    this.#answered += 1;
    return this.#answered === this.#count;
  }
}

/** The reply to one command, if it is a text. */
export class TextReply implements Replies {
  result: string | null = null;

  takes(type: number | undefined): boolean {
    return type === STRING;
  }

  take(bytes: Buffer, at: number): boolean {
    this.result = stringAt(bytes, at);
    return true;
  }
}

/**
 * Puts itself between the stream of a connection and ioredis.
 *
 * @param stream of a connection that has just become ready
 * @throws Error where ioredis reads its stream in another way than this code knows
 */
export function tapReplies(stream: Socket, commands: UnansweredCommands, received?: Received): void {
  const [found, ...others] = stream.listeners("data");
  if (found === undefined || others.length > 0) throw new Error("ioredis reads its connection in another way");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a listener of data
  const parse = found as (reply: Buffer) => void;
  const tap = new Tap(commands, (reply) => parse.call(stream, reply), received);
  stream.on("data", (chunk: Buffer) => tap.hear(chunk));
  stream.off("data", parse);
}

class Tap {
  readonly #commands: UnansweredCommands;
  readonly #pass: (reply: Buffer) => void;
  readonly #received: Received | undefined;
  /** An incomplete reply that is to be taken: its parts, their length, and the length at which another look is worth it. */
  #parts: Buffer[] = [];
  #length = 0;
  #needed = 0;
  /** The reply that is being passed on, as it comes: it may be long. */
  #passing: ReplyEnd | undefined;

  constructor(commands: UnansweredCommands, pass: (reply: Buffer) => void, received: Received | undefined) {
    this.#commands = commands;
    this.#pass = pass;
    this.#received = received;
  }

  hear(chunk: Buffer): void {
    if (this.#length === 0) {
      this.#read(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return;
    const whole = Buffer.concat(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    this.#read(whole);
  }

  #read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      const end = this.#next(bytes, at);
      if (end < 0) {
        this.#parts = [bytes.subarray(at)];
        this.#length = bytes.length - at;
        this.#needed = -end - at;
        return;
      }
      at = end;
    }
  }

  /** Handles the reply that begins at a place. Returns as `replyEnd` does. */
  #next(bytes: Buffer, at: number): number {
    if (this.#passing !== undefined) return this.#passOn(this.#passing, bytes, at);
    const type = bytes[at];
    if (this.#received !== undefined && (type === PUSH || type === LIST)) {
      const alike = sharedLength(bytes, at + 1);
      if (alike === MESSAGE.length) return this.#message(bytes, at);
      if (at + 1 + alike === bytes.length) return -(at + 1 + MESSAGE.length);
    }
    const replies = type === PUSH ? undefined : this.#commands.first();
    if (replies?.takes(type) === true) return this.#take(replies, bytes, at);
    return this.#passOn((this.#passing = new ReplyEnd()), bytes, at);
  }

  #passOn(passing: ReplyEnd, bytes: Buffer, at: number): number {
    const place = passing.look(bytes, at);
    if (place > at) this.#pass(bytes.subarray(at, place));
    if (passing.found) this.#passing = undefined;
    // The beginning of an element that is not understood yet stays here.
    else if (place < bytes.length) return place === at ? -bytes.length - 1 : place;
    return place;
  }

  /** Hands on a message. Returns as `replyEnd` does. */
  #message(bytes: Buffer, at: number): number {
    const channel = at + 1 + MESSAGE.length;
    const channelStart = lineEnd(bytes, channel);
    const channelEnd = channelStart + integerAt(bytes, channel);
    const payload = channelEnd + BEFORE_PAYLOAD.length;
    const start = lineEnd(bytes, payload);
    const end = start + integerAt(bytes, payload);
    if (end + CRLF > bytes.length) return replyEnd(bytes, at);
    this.#received?.(bytes, channelStart, channelEnd, start, end);
    return end + CRLF;
  }

  /** Takes a reply to a written command. Returns as `replyEnd` does. */
  #take(replies: Replies, bytes: Buffer, at: number): number {
    const end = replyEnd(bytes, at);
    if (end >= 0 && replies.take(bytes, at)) this.#commands.shift();
    return end;
  }
}

/** Counts the bytes from a place on that are as in MESSAGE. */
function sharedLength(bytes: Buffer, at: number): number {
  let length = 0;
  while (length < MESSAGE.length && bytes[at + length] === MESSAGE[length]) length += 1;
  return length;
}

/** The end of the line that names a length; beyond the bytes, if they end before. */
function lineEnd(bytes: Buffer, at: number): number {
  let place = at;
  while (place < bytes.length && bytes[place] !== CR) place += 1;
  return place + CRLF;
}
