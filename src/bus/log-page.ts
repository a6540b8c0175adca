import type { Message } from "../message.ts";
import type { Position } from "../position.ts";
import type { Page } from "./bus.ts";
import { decodeEntries } from "./frame.ts";
import { listOf } from "./redis-scripts.ts";

/** What the read script answered: epoch, offset, stamp, whether it resumed, and the entries of the stream. */
export function pageOf(answer: unknown, since: Position | undefined, limit: number): Page {
  const [epoch, head, stamp, resumed, cut, entries] = listOf(answer);
  const messages: Message[] = [];
  let start = resumed === 1 && since !== undefined ? since.offset : Number(head);
  let whole = resumed === 1;
  let lastStamp = Number(stamp);
  for (const [index, entry] of listOf(entries).entries()) {
    const [id, fields] = listOf(entry);
    const value = listOf(fields)[1];
    const offset = Number.parseInt(String(id), 10);
    if (index === 0 && !whole) start = offset - 1;
    if (offset !== start + messages.length + 1) {
      // Somebody took entries out. What comes after the hole is all that can be honoured.
      messages.length = 0;
      start = offset - 1;
      whole = false;
    }
    const message = Buffer.isBuffer(value) ? decodeEntries(value)?.[0] : undefined;
    if (message === undefined) throw new Error("a log holds something else");
    messages.push(message);
  }
  if (cut !== 1 && messages.length < limit && start + messages.length !== Number(head)) {
    messages.length = 0;
    start = Number(head);
    whole = false;
    lastStamp = 0;
  }
  return {
    epoch: String(epoch),
    head: Number(head),
    stamp: lastStamp,
    resumed: since === undefined ? null : whole,
    start,
    messages,
  };
}
