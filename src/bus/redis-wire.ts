import { Command, type Redis } from "ioredis";
import { integerAt, lineAt, ReplyEnd, replyEnd, stringAt } from "./resp.ts";

/** Hears a message where it lies in what Redis sent: the places of its channel and of its payload. */
export type Received = (bytes: Buffer, channelStart: number, channelEnd: number, start: number, end: number) => void;

/** How a push of a message begins, after its first byte: that tells a push from a list, which it was before RESP3. */
const MESSAGE = Buffer.from("3\r\n$7\r\nmessage\r\n$");
const PUSH = 62; // >
const LIST = 42; // *
const ERROR = 45; // -
const STRING = 36; // $
const CR = 13;
const CRLF = 2;
/** What stands between the channel and the length of the payload. */
const BEFORE_PAYLOAD = "\r\n$";

/** A command that is already in Redis's words, and answered with a text. */
export class WrittenCommand extends Command {
  readonly #bytes: Buffer;

  constructor(name: string, bytes: Buffer) {
    super(name);
    this.#bytes = bytes;
    // Else ioredis would describe it to whoever listens.
    this.isTraced = true;
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }
}

/** Several PUBLISH that go out as one; their promise resolves when all are answered, and rejects where the connection ends before. */
export class WrittenPublishes extends WrittenCommand {
  readonly #count: number;
  #answered = 0;
  #errors: Map<number, Error> | undefined;

  constructor(count: number, bytes: Buffer) {
    super("publish", bytes);
    this.#count = count;
  }

  /** What went wrong with one of them; `unanswered` where Redis did not say. */
  errorOf(index: number, unanswered: unknown): unknown {
    return index < this.#answered ? this.#errors?.get(index) : unanswered;
  }

  /** Takes the next answer, and returns whether it was the last one. */
  answered(error: Error | undefined): boolean {
    if (error !== undefined) (this.#errors ??= new Map()).set(this.#answered, error);
    this.#answered += 1;
    return this.#answered === this.#count;
  }
}

/**
 * Takes what moves messages out of what Redis says before ioredis makes objects of it, which would cost more than all else that
 * is done for a message: the messages of a subscriber, and the answers to written commands. All else goes on to ioredis, in order,
 * as it comes.
 *
 * It leans on what ioredis keeps to itself: one listener of its stream parses replies, and the next reply is for the first in
 * `commandQueue`.
 *
 * @param client that has just become ready
 */
export function tapReplies(client: Redis, received?: Received): void {
  const { stream, commandQueue } = client;
  const [parse, ...others] = stream.listeners("data");
  if (parse === undefined || others.length > 0) throw new Error("ioredis reads its connection in another way");
  const tap = new Tap(commandQueue, (reply) => parse.call(stream, reply), received);
  stream.on("data", (chunk: Buffer) => tap.hear(chunk));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what was found there
  stream.off("data", parse as () => void);
}

class Tap {
  readonly #queue: Redis["commandQueue"];
  readonly #pass: (reply: Buffer) => void;
  readonly #received: Received | undefined;
  /** What is not whole yet of what is taken out, its length, and how much there has to be before it is worth another look. */
  #parts: Buffer[] = [];
  #length = 0;
  #needed = 0;
  /** The reply that is being passed on, as it comes: it may be long. */
  #passing: ReplyEnd | undefined;

  constructor(queue: Redis["commandQueue"], pass: (reply: Buffer) => void, received: Received | undefined) {
    this.#queue = queue;
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

  /** Deals with what begins at a place. Returns as `replyEnd` does. */
  #next(bytes: Buffer, at: number): number {
    if (this.#passing !== undefined) return this.#passOn(this.#passing, bytes, at);
    const type = bytes[at];
    if (this.#received !== undefined && (type === PUSH || type === LIST)) {
      const alike = sharedLength(bytes, at + 1);
      if (alike === MESSAGE.length) return this.#message(bytes, at);
      if (at + 1 + alike === bytes.length) return -(at + 1 + MESSAGE.length);
    }
    const command = type === PUSH ? undefined : this.#queue.peekFront()?.command;
    if (command instanceof WrittenPublishes || (command instanceof WrittenCommand && type === STRING))
      return this.#answer(command, bytes, at);
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

  /** Takes the answer to a written command. Returns as `replyEnd` does. */
  #answer(command: WrittenCommand, bytes: Buffer, at: number): number {
    const end = replyEnd(bytes, at);
    if (end < 0) return end;
    if (!(command instanceof WrittenPublishes)) this.#resolve(command, stringAt(bytes, at));
    else if (command.answered(bytes[at] === ERROR ? new Error(lineAt(bytes, at + 1)) : undefined)) this.#resolve(command, null);
    return end;
  }

  #resolve(command: WrittenCommand, answer: string | null): void {
    this.#queue.shift();
    command.resolve(answer);
  }
}

/** How many bytes from a place on are as in MESSAGE. */
function sharedLength(bytes: Buffer, at: number): number {
  let length = 0;
  while (length < MESSAGE.length && bytes[at + length] === MESSAGE[length]) length += 1;
  return length;
}

/** Where the line ends that says a length; beyond the bytes, if they end before. */
function lineEnd(bytes: Buffer, at: number): number {
  let place = at;
  while (place < bytes.length && bytes[place] !== CR) place += 1;
  return place + CRLF;
}
