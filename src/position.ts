/*
 * Epoch, offset and checkpoint, by an example of five messages.
 *
 * A channel's log takes five messages: `a b c d e`. They get the offsets 1 to 5 of one epoch, say `k7`:
 *
 *   message     a     b     c     d     e
 *   position   k7-1  k7-2  k7-3  k7-4  k7-5
 *
 * A client that was cut off after `c` says `since=k7-3` and gets `d e`. If the log keeps only `d e`, that is still everything
 * (resumed). A client at `k7-1` cannot get everything: it gets `d e` and is told that something is missing (not resumed).
 *
 * Now Redis forgets `d` and `e`, as a restart from an old snapshot does, and somebody publishes `x`. If `x` became `k7-4`, the
 * client at `k7-4` would take it for `d` and never notice. So a log that has lost a message which somebody saw begins a new
 * epoch, `m2`, and the position `k7-4` means nothing any more: that client is told.
 *
 * The counter alone does not always show the loss: after `x` and `y` the log stands at 5 again, where it stood before. The
 * checkpoint does. The bus gives each entry one that no other entry has, and an instance that saw `e` asks for more with
 * `k7-5` *and* the checkpoint of `e`. The log finds that of `y` there, and begins the new epoch. Clients never see checkpoints.
 */

/** A place in the log of a channel: after the message with this offset. The offset grows by one a message, from 0 before the first. */
export interface Position {
  /** Names one run of offsets; an opaque token without "-". Positions of different epochs cannot be compared. */
  readonly epoch: string;
  readonly offset: number;
}

/** The part of a channel that is kept. */
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

/** Parses a client's position; undefined if the text is none. */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, offset] = POSITION.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, offset: Number(offset) };
}
