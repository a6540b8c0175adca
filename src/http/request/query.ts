import type { Kind } from "../../channels/kind.ts";
import { Problem } from "../../errors.ts";
import type { JoinFrom } from "../../hub/joins.ts";
import { parsePosition, type Position } from "../../position.ts";

/** The part of a channel's history that a client asks for when it joins. */
export interface HistoryQuery {
  readonly from?: JoinFrom;
  readonly hello: boolean;
}

/**
 * Reads `since`, `recent` and `hello` of an upgrade.
 *
 * @throws Problem `malformed-request`, also if the channel keeps no history
 */
export function parseHistoryQuery(query: URLSearchParams, kind: Kind): HistoryQuery {
  requireHistory(query, ["since", "recent", "hello"], kind);
  const since = query.get("since");
  const recent = query.get("recent");
  if (since !== null && recent !== null) throw new Problem("malformed-request", "Take since or recent, not both.");
  const hello = query.get("hello") ?? "0";
  if (hello !== "0" && hello !== "1") throw new Problem("malformed-request", "hello is 1, or left out.");
  if (since !== null) return { from: { since: sinceOf("since", since) }, hello: hello === "1" };
  return { ...recentOf(recent), hello: hello === "1" };
}

/**
 * Reads `Last-Event-ID` (the header, or `last_event_id`) and `recent` of an event stream. A browser that reconnects sends both; then the
 * former counts.
 *
 * @throws Problem `malformed-request`
 */
export function parseEventsQuery(query: URLSearchParams, headers: Headers, kind: Kind): Pick<HistoryQuery, "from"> {
  const named = query.get("last_event_id") ?? "";
  requireHistory(query, named === "" ? ["recent"] : ["last_event_id", "recent"], kind);
  if (kind.history === undefined) return {};
  const recent = recentOf(query.get("recent"));
  const last = headers.get("last-event-id")?.trim() || named;
  return last === "" ? recent : { from: { since: sinceOf("Last-Event-ID", last) } };
}

/** @throws Problem `malformed-request` */
export function sinceOf(name: string, text: string): Position {
  const position = parsePosition(text);
  if (position === undefined) throw new Problem("malformed-request", `${name} is a position, <epoch>-<offset>.`);
  return position;
}

/** @throws Problem `malformed-request` */
export function integerOf(name: string, text: string, min: number, max: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : -1;
  if (value < min || value > max) throw new Problem("malformed-request", `${name} is an integer from ${min} to ${max}.`);
  return value;
}

function recentOf(text: string | null): { from?: JoinFrom } {
  const recent = text === null ? 0 : integerOf("recent", text, 0, 999_999_999);
  return recent === 0 ? {} : { from: { recent } };
}

function requireHistory(query: URLSearchParams, names: readonly string[], kind: Kind): void {
  if (kind.history !== undefined) return;
  const name = names.find((one) => query.has(one));
  if (name !== undefined) throw new Problem("malformed-request", `This channel keeps no history, so it takes no ${name}.`);
}
