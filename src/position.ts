/** A place in the log of a channel: after the message with this offset. The offset grows by one a message, from 0 before the first. */
export interface Position {
  /** Names one run of offsets; an opaque token without "-". Positions of different epochs cannot be compared. */
  readonly epoch: string;
  readonly offset: number;
}

/** How much of a channel is kept. */
export interface Retention {
  /** Messages; never more are replayed. */
  readonly size: number;
  /** Milliseconds from the last message on. */
  readonly ttlMs: number;
}

/** A position as clients write it. */
export const POSITION = /^([^-\s]{1,64})-(0|[1-9][0-9]{0,14})$/;

/** A position as clients see it: `<epoch>-<offset>`. */
export function formatPosition(epoch: string, offset: number): string {
  return `${epoch}-${offset}`;
}

/** The position that a text stands for, or undefined where it is none. */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, offset] = POSITION.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, offset: Number(offset) };
}
