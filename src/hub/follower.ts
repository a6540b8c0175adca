import type { Checkpoint, Entries, Page, ReadFrom } from "../bus/history.ts";
import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";

/** What may pile up while a read of the log is under way; above it, the log is read again. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;

/** Where a follower hands on what it makes of a log, to the one it follows for. */
export interface FollowerListener<Owner> {
  /** Each message once, in order, with its position. */
  follow(owner: Owner, message: Message, epoch: string, offset: number): void;
  /**
   * Messages were missed that cannot be had any more, or the log begins anew. The follower's position is where what follows
   * begins; `left` is where it was.
   */
  missed(owner: Owner, left: string): void;
  /** The log has to be read, see `from`. */
  behind(owner: Owner): void;
}

/**
 * Follows the log of one channel: makes of what the bus delivers, which may repeat, and after a loss may skip, each message
 * once and in order. Whatever does not fit sends it to the log: what a read returns holds everything that was delivered here
 * before that read began.
 */
export class Follower<Owner> {
  readonly #owner: Owner;
  readonly #listener: FollowerListener<Owner>;
  #epoch = "";
  #offset = 0;
  #checkpoint: Checkpoint | undefined;
  /** Whether the position means something: from the first read on. */
  #settled = false;
  #live = false;
  #reading = false;
  /** Counts reads: what an earlier one returns is not used. */
  #reads = 0;
  /** What was delivered since the read began. */
  #early: Entries[] | undefined;
  #earlyBytes = 0;
  #earlyDropped = false;
  /** The last messages, while somebody needs what comes between a read and its joining: all after the offset. */
  #held: Message[] | undefined;
  #heldAfter = 0;
  #heldBytes = 0;
  #holders = 0;
  #soon: PromiseWithResolvers<void> | undefined;

  /** @param owner whom it follows for: one listener may hear many */
  constructor(owner: Owner, listener: FollowerListener<Owner>) {
    this.#owner = owner;
    this.#listener = listener;
  }

  /** Whether everything up to the position was handed on, and the next message will be. */
  get live(): boolean {
    return this.#live;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get offset(): number {
    return this.#offset;
  }

  /** The position of the last message handed on. */
  get position(): string | null {
    return this.#settled ? formatPosition(this.#epoch, this.#offset) : null;
  }

  /** Resolves when it is live again. */
  whenLive(): Promise<void> {
    if (this.#live) return Promise.resolve();
    this.#soon ??= Promise.withResolvers();
    return this.#soon.promise;
  }

  /** The bus may have missed something: the log has to be read, once the subscription is live again. */
  interrupt(): void {
    this.#live = false;
    this.#reading = false;
    this.#reads += 1;
    this.#dropEarly();
  }

  /** Forgets the position; nobody is there who would miss anything. */
  reset(): void {
    this.interrupt();
    this.#settled = false;
  }

  /** To be called when a read begins; the returned token goes to `caughtUp`, and `from` says what to read. */
  begin(limit: number, bytes: number): { read: number; from: ReadFrom } {
    this.#dropEarly();
    this.#earlyDropped = false;
    this.#reading = true;
    const since = { epoch: this.#epoch, offset: this.#offset };
    const page = { bytes, keepsAlive: true };
    return {
      read: (this.#reads += 1),
      from: this.#settled ? { ...page, since, ...withCheckpoint(this.#checkpoint), limit } : { ...page, limit: 0 },
    };
  }

  /** What the log said. False if it has to be read again, or on: a page may end before the log does. */
  caughtUp(read: number, page: Page): boolean {
    if (read !== this.#reads) return false;
    if (this.#settled && page.resumed === true) {
      this.#hand(page.start + 1, page.messages);
    } else if (this.#settled) {
      const left = formatPosition(this.#epoch, this.#offset);
      this.#moveTo(page.epoch, page.start);
      this.#listener.missed(this.#owner, left);
      this.#hand(page.start + 1, page.messages);
    } else this.#moveTo(page.epoch, page.head);
    this.#settled = true;
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
    this.#soon?.resolve();
    this.#soon = undefined;
    return true;
  }

  /** Goes ahead to the end of a page that was read for somebody else. False where that leaves a hole. */
  advance({ epoch, head, checkpoint, start, messages }: Page): boolean {
    if (!this.#live || epoch !== this.#epoch || (start > this.#offset && head > this.#offset)) return false;
    if (head <= this.#offset) return true;
    this.#hand(start + 1, messages);
    this.#checkpoint = checkpoint;
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
      this.#listener.behind(this.#owner);
      return;
    }
    const before = this.#offset;
    this.#hand(first, messages);
    // A repeat must not take the place of what was seen.
    if (this.#offset > before) this.#checkpoint = checkpoint;
  }

  /** From now on what is handed on is also held, until `release`. */
  hold(): void {
    if (this.#holders === 0) this.#dropHeld();
    this.#holders += 1;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.#dropHeld();
  }

  /** What was handed on after an offset of this epoch, or undefined where that is no longer known. */
  heldAfter(epoch: string, offset: number): Message[] | undefined {
    if (epoch !== this.#epoch || offset < this.#heldAfter || offset > this.#offset) return undefined;
    return this.#held?.slice(offset - this.#heldAfter) ?? [];
  }

  #hand(first: number, messages: readonly Message[]): void {
    for (let index = Math.max(0, this.#offset + 1 - first); index < messages.length; index += 1) {
      const message = messages[index] ?? "";
      this.#offset = first + index;
      if (this.#holders > 0) this.#hold(message);
      this.#listener.follow(this.#owner, message, this.#epoch, this.#offset);
    }
  }

  #moveTo(epoch: string, offset: number): void {
    this.#epoch = epoch;
    this.#offset = offset;
    this.#dropHeld();
  }

  #hold(message: Message): void {
    (this.#held ??= []).push(message);
    this.#heldBytes += message.length;
    if (this.#heldBytes > MAX_KEPT_BYTES) this.#dropHeld();
  }

  #dropHeld(): void {
    this.#held = undefined;
    this.#heldBytes = 0;
    this.#heldAfter = this.#offset;
  }

  #dropEarly(): void {
    this.#early = undefined;
    this.#earlyBytes = 0;
  }

  #keepEarly(entries: Entries): void {
    // What comes before a read begins is in what it returns.
    if (!this.#reading) return;
    for (const message of entries.messages) this.#earlyBytes += message.length;
    (this.#early ??= []).push(entries);
    if (this.#earlyBytes <= MAX_KEPT_BYTES) return;
    this.#dropEarly();
    this.#earlyDropped = true;
  }
}

function withCheckpoint(checkpoint: Checkpoint | undefined): { checkpoint?: Checkpoint } {
  return checkpoint === undefined ? {} : { checkpoint };
}
