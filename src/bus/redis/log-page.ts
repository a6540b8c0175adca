import { byteLength, type Message } from "../../message.ts";
import type { Page, ReadFrom } from "../history.ts";
import { decodeEntries, toCheckpoint } from "./frame.ts";
import { listOf } from "./scripts.ts";

/** Makes a page of the read script's answer, see lua/read.lua. That holds whole batches; the page has what was asked for of them. */
export function pageOf(answer: unknown, { since, limit, bytes }: ReadFrom): Page {
  const [epoch, head, newest, resumed, cut, before, batches] = listOf(answer);
  const messages: Message[] = [];
  let start = Number(before);
  let checkpoint = Number(newest);
  let whole = resumed === 1;
  let left = bytes;
  const isFull = (): boolean => messages.length === limit || left <= 0;
  for (const one of listOf(batches)) {
    if (isFull()) break;
    const batch = batchOf(one);
    if (batch.first > start + messages.length + 1) {
      // Earlier messages were trimmed, or entries were deleted. Only the messages after the hole are usable.
      whole = false;
      messages.length = 0;
      start = batch.first - 1;
    }
    for (const message of batch.messages.slice(start + messages.length + 1 - batch.first)) {
      if (isFull()) break;
      messages.push(message);
      left -= byteLength(message);
      checkpoint = batch.checkpoint;
    }
  }
  if (cut !== 1 && !isFull() && start + messages.length !== Number(head)) {
    messages.length = 0;
    start = Number(head);
    whole = false;
    checkpoint = 0;
  }
  return {
    epoch: String(epoch),
    head: Number(head),
    checkpoint: toCheckpoint(checkpoint),
    resumed: since === undefined ? null : whole,
    start,
    messages,
  };
}

interface LogBatch {
  readonly first: number;
  readonly checkpoint: number;
  readonly messages: readonly Message[];
}

/** @throws Error where somebody else has put something there */
function batchOf(batch: unknown): LogBatch {
  const [id, fields] = listOf(batch);
  const value = listOf(fields)[1];
  const messages = Buffer.isBuffer(value) ? decodeEntries(value) : undefined;
  if (messages === undefined) throw new Error("a log holds something else");
  const [last, checkpoint] = String(id).split("-").map(Number);
  return { first: (last ?? 0) - messages.length + 1, checkpoint: checkpoint ?? 0, messages };
}
