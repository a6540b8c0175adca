import { byteLength, type Message } from "../message.ts";
import type { Page, ReadFrom } from "./bus.ts";
import { decodeEntries } from "./frame.ts";
import { listOf } from "./redis-scripts.ts";

/** What the read script answered, see scripts/read.lua. It gives whole batches; of those the page has what was asked for. */
export function pageOf(answer: unknown, { since, limit, bytes }: ReadFrom): Page {
  const [epoch, head, newest, resumed, cut, before, batches] = listOf(answer);
  const messages: Message[] = [];
  let start = Number(before);
  let stamp = Number(newest);
  let whole = resumed === 1;
  let left = bytes;
  const isFull = (): boolean => messages.length === limit || left <= 0;
  for (const one of listOf(batches)) {
    if (isFull()) break;
    const batch = batchOf(one);
    if (batch.first > start + messages.length + 1) {
      // What comes before was trimmed, or somebody took something out. What comes after the hole is all that can be honoured.
      whole = false;
      messages.length = 0;
      start = batch.first - 1;
    }
    for (const message of batch.messages.slice(start + messages.length + 1 - batch.first)) {
      if (isFull()) break;
      messages.push(message);
      left -= byteLength(message);
      stamp = batch.stamp;
    }
  }
  if (cut !== 1 && !isFull() && start + messages.length !== Number(head)) {
    messages.length = 0;
    start = Number(head);
    whole = false;
    stamp = 0;
  }
  return { epoch: String(epoch), head: Number(head), stamp, resumed: since === undefined ? null : whole, start, messages };
}

interface Batch {
  readonly first: number;
  readonly stamp: number;
  readonly messages: readonly Message[];
}

/** @throws Error where somebody else has put something there */
function batchOf(batch: unknown): Batch {
  const [id, fields] = listOf(batch);
  const value = listOf(fields)[1];
  const messages = Buffer.isBuffer(value) ? decodeEntries(value) : undefined;
  if (messages === undefined) throw new Error("a log holds something else");
  const [last, stamp] = String(id).split("-").map(Number);
  return { first: (last ?? 0) - messages.length + 1, stamp: stamp ?? 0, messages };
}
