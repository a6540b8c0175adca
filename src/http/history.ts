import { Elysia } from "elysia";
import type { Page } from "../bus/history.ts";
import type { Kind } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import { formatPosition, type Position, type Retention } from "../position.ts";
import { historyOf } from "../bus/abilities.ts";
import { PAGE_BYTES } from "../hub/recovery.ts";
import { admit } from "./admission.ts";
import type { Answers } from "./answers.ts";
import type { Instance } from "./context.ts";
import { HistoryText } from "./history-text.ts";
import { otherMethods } from "./problems.ts";
import { integerOf, sinceOf } from "./query.ts";
import { targetQuery } from "./target.ts";

const ROUTE = "/history/";
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
/** How long a reader of a long answer may take nothing, in seconds: the system has some megabytes under way, which takes a slow one a while. */
const PATIENCE_S = 60;

/** `GET /history/<path>`: what is kept of a channel, ascending. */
export function history(instance: Instance) {
  const { hub } = instance.sessions;
  return new Elysia({ name: "history" })
    .get(`${ROUTE}*`, async ({ request, server }) => {
      instance.rules.origins.require(request.headers);
      const { rules, target } = await admit(instance, request, ROUTE, "join", ({ kind }) => void retentionOf(kind));
      const { kind, channel } = target;
      const query = targetQuery(request.url);
      const since = query.get("since");
      const limit = integerOf("limit", query.get("limit") ?? String(DEFAULT_LIMIT), 1, MAX_LIMIT);
      const read = (count: number, after: Position | undefined): Promise<Page> =>
        historyOf(hub.bus).read(channel, retentionOf(kind), {
          ...(after !== undefined && { since: after }),
          limit: count,
          bytes: PAGE_BYTES,
          keepsAlive: false,
        });
      const page = await read(limit, since === null ? undefined : sinceOf("since", since));
      const { epoch, head, resumed, start } = page;
      const last = Math.min(head, start + limit);
      const text = new HistoryText({ channel, position: formatPosition(epoch, head), resumed }, page, last, (after) =>
        read(last - after.offset, after),
      );
      const part = await text.next();
      const headers = { ...rules.origins.corsHeaders(request.headers), "content-type": "application/json;charset=utf-8" };
      if (text.ended) return new Response(part, { headers });
      server?.timeout(request, PATIENCE_S);
      // The time-out would hold for what came after it on the same connection.
      const body = bodyOf(text, part, instance.answers, request.signal);
      return new Response(body, { headers: { ...headers, connection: "close" } });
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** @throws Problem `no-history` */
function retentionOf({ history: retention }: Kind): Retention {
  if (retention === undefined) throw new Problem("no-history", "This channel keeps no history.");
  return retention;
}

/** The rest is made as fast as the client reads. @param gone says that the client has gone */
function bodyOf(text: HistoryText, first: string, answers: Answers, gone: AbortSignal): ReadableStream<Uint8Array> {
  let part: string | undefined = first;
  let end: (() => void) | undefined;
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        if (end === undefined) gone.addEventListener("abort", (end = answers.begin()));
        try {
          controller.enqueue(Buffer.from(part ?? (await text.next())));
          part = undefined;
          if (!text.ended) return;
          controller.close();
          end();
        } catch (error) {
          end();
          throw error;
        }
      },
      cancel: () => end?.(),
    },
    // Nothing is taken before the connection has room for it.
    { highWaterMark: 0 },
  );
}
