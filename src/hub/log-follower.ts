import type { Checkpoint, Entries, Page, ReadFrom } from "../bus/history.ts";
import { WakeUps } from "../lib/time.ts";
import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";

/** Messages kept during a read or a join, in UTF-16 units of text and bytes of binary; above it, the log is read again. */
const MAX_KEPT = 8 * 1024 * 1024;

/** Receives what a follower makes of a log. */
export interface LogListener {
  /** Each message once, in order, with its position. */
  follow(message: Message, epoch: string, offset: number): void;
  /**
   * Messages were missed that cannot be had any more, or the log begins anew. The follower stands where what follows begins; it was
   * at position `left`.
   */
  missed(left: string): void;
  /** The log has to be read, see `begin`. */
  behind(): void;
}

/**
 * Follows the log of one channel: turns what the bus delivers, which may repeat and after a loss may skip, into each message once
 * and in order. Anything that does not fit sends it to the log: a read returns everything that was delivered here before it began.
 *
 * A recovery: 1. `interrupt` (the bus was lost) or a hole in what arrives. 2. `begin` says what to read; what arrives from then on is
 * kept. 3. `caughtUp` hands on the page, then what was kept; pages go on until the end of the log. 4. The follower is live.
 */
export class LogFollower {
  readonly #listener: LogListener;
  #epoch = "";
  #offset = 0;
  #checkpoint: Checkpoint | undefined;
  /** True from the first read on: the position means something. */
  #settled = false;
  #live = false;
  #reading = false;
  /** Counts reads: the answer to an earlier one is not used. */
  #reads = 0;
  /** Delivered since the read began. */
  #early: Entries[] | undefined;
  #earlyLength = 0;
  #earlyDropped = false;
  /** The last messages, while a join needs what comes between its read and its first broadcast: all after `#bufferedAfter`. */
  #buffer: Message[] | undefined;
  #bufferedAfter = 0;
  #bufferLength = 0;
  #bufferUsers = 0;
  readonly #moves = new WakeUps();

  constructor(listener: LogListener) {
    this.#listener = listener;
  }

  /** True while everything up to the position was handed on, and the next message will be. */
  get live(): boolean {
    return this.#live;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get offset(): number {
    return this.#offset;
  }

  /** The position of the last message handed on; null before the first read. */
  get position(): string | null {
    return this.#settled ? formatPosition(this.#epoch, this.#offset) : null;
  }

  /** Resolves to true once the follower is live, to false at the deadline (milliseconds since 1970). */
  async whenLive(deadlineMs: number): Promise<boolean> {
    while (!this.#live) if (!(await this.#moves.wait(deadlineMs))) return false;
    return true;
  }

  /** Resolves to true once the bus itself has brought this offset; to false at the deadline, or where the follower stops or begins anew. */
  async whenReached(epoch: string, offset: number, deadlineMs: number): Promise<boolean> {
    while (this.#live && this.#epoch === epoch) {
      if (this.#offset >= offset) return true;
      if (!(await this.#moves.wait(deadlineMs))) return false;
    }
    return false;
  }

  /** The bus may have missed something: the log has to be read, once the subscription is live again. */
  interrupt(): void {
    this.#live = false;
    this.#reading = false;
    this.#reads += 1;
    this.#dropEarly();
    this.#moves.wake();
  }

  /** Forgets the position: nobody is there who could miss anything. */
  reset(): void {
    this.interrupt();
    this.#settled = false;
  }

  /** Call it when a read begins; the token goes to `caughtUp`, and `from` says what to read. */
  begin(limit: number, bytes: number): { read: number; from: ReadFrom } {
    this.#dropEarly();
    this.#earlyDropped = false;
    this.#reading = true;
    this.#reads += 1;
    const page = { bytes, keepsAlive: true };
    if (!this.#settled) return { read: this.#reads, from: { ...page, limit: 0 } };
    const since = { epoch: this.#epoch, offset: this.#offset };
    const from = { ...page, since, limit };
    return { read: this.#reads, from: this.#checkpoint === undefined ? from : { ...from, checkpoint: this.#checkpoint } };
  }

  /** Takes a page of the log. Returns false if the log has to be read again, or on: a page may end before the log does. */
  caughtUp(read: number, page: Page): boolean {
    if (read !== this.#reads) return false;
    if (!this.#settled) {
      this.#settled = true;
      this.#moveTo(page.epoch, page.head);
    } else {
      if (page.resumed !== true) {
        const left = formatPosition(this.#epoch, this.#offset);
        this.#moveTo(page.epoch, page.start);
        this.#listener.missed(left);
      }
      this.#hand(page.start + 1, page.messages);
    }
    this.#checkpoint = page.checkpoint;
    this.#reading = false;
    if (this.#earlyDropped || this.#offset < page.head) {
      this.#dropEarly();
      return false;
    }
    this.#live = true;
    const early = this.#early ?? [];
    this.#dropEarly();
    for (const entries of early) this.arrive(entries);
    if (!this.#live) return false;
    this.#moves.wake();
    return true;
  }

  /** Goes ahead to the end of a page that was read for somebody else. Returns false where that would leave a hole. */
  advance({ epoch, head, checkpoint, start, messages }: Page): boolean {
    if (!this.#live || epoch !== this.#epoch || (start > this.#offset && head > this.#offset)) return false;
    if (head <= this.#offset) return true;
    this.#hand(start + 1, messages);
    this.#checkpoint = checkpoint;
    this.#moves.wake();
    return true;
  }

  /** Takes what the bus delivers. */
  arrive(entries: Entries): void {
    if (!this.#live) {
      this.#keepEarly(entries);
      return;
    }
    const { epoch, first, checkpoint, messages } = entries;
    if (epoch !== this.#epoch || first > this.#offset + 1) {
      this.interrupt();
      this.#listener.behind();
      return;
    }
    const before = this.#offset;
    this.#hand(first, messages);
    // A repeat must not replace what was seen.
    if (this.#offset > before) this.#checkpoint = checkpoint;
    this.#moves.wake();
  }

  /** Messages are also buffered from now on, until `unbuffer` was called as often. */
  buffer(): void {
    if (this.#bufferUsers === 0) this.#dropBuffer();
    this.#bufferUsers += 1;
  }

  unbuffer(): void {
    this.#bufferUsers -= 1;
    if (this.#bufferUsers === 0) this.#dropBuffer();
  }

  /** The messages after an offset of this epoch; undefined where they are not buffered any more. */
  bufferedAfter(epoch: string, offset: number): Message[] | undefined {
    if (epoch !== this.#epoch || offset < this.#bufferedAfter || offset > this.#offset) return undefined;
    return this.#buffer?.slice(offset - this.#bufferedAfter) ?? [];
  }

  #hand(first: number, messages: readonly Message[]): void {
    for (let index = Math.max(0, this.#offset + 1 - first); index < messages.length; index += 1) {
      const message = messages[index] ?? "";
      this.#offset = first + index;
      if (this.#bufferUsers > 0) this.#keep(message);
      this.#listener.follow(message, this.#epoch, this.#offset);
    }
  }

  #moveTo(epoch: string, offset: number): void {
    this.#epoch = epoch;
    this.#offset = offset;
    this.#dropBuffer();
  }

  #keep(message: Message): void {
    (this.#buffer ??= []).push(message);
    this.#bufferLength += message.length;
    if (this.#bufferLength > MAX_KEPT) this.#dropBuffer();
  }

  #dropBuffer(): void {
    this.#buffer = undefined;
    this.#bufferLength = 0;
    this.#bufferedAfter = this.#offset;
  }

  #dropEarly(): void {
    this.#early = undefined;
    this.#earlyLength = 0;
  }

  #keepEarly(entries: Entries): void {
    // What comes before a read begins is in what it returns.
    if (!this.#reading) return;
    for (const message of entries.messages) this.#earlyLength += message.length;
    (this.#early ??= []).push(entries);
    if (this.#earlyLength <= MAX_KEPT) return;
    this.#dropEarly();
    this.#earlyDropped = true;
  }
}
