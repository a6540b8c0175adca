import { historyOf } from "../../bus/bus.ts";
import type { Page } from "../../bus/history.ts";
import type { Kind } from "../../channels/kind.ts";
import { Problem } from "../../errors.ts";
import { PAGE_BYTES } from "../../hub/recovery.ts";
import { formatPosition, type Position, type Retention } from "../../position.ts";
import { authorize } from "../authorize.ts";
import type { HttpServer, Instance, LongAnswers } from "../context.ts";
import { integerOf, sinceOf } from "../request/query.ts";
import { targetQuery } from "../request/target.ts";
import { HistoryText } from "./history-text.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
/** Time for which the reader of a long answer may read nothing, in seconds. The system buffers some megabytes, which a slow reader needs a while for. */
const PATIENCE_S = 60;

/** `GET /history/<path>`: the kept messages of a channel, oldest first. */
export async function getHistory(instance: Instance, request: Request, server: HttpServer | null): Promise<Response> {
  instance.rules.origins.require(request.headers);
  const { rules, target } = await authorize(instance, request, "join", ({ kind }) => void retentionOf(kind));
  const { kind, channel } = target;
  const query = targetQuery(request.url);
  const since = query.get("since");
  const limit = integerOf("limit", query.get("limit") ?? String(DEFAULT_LIMIT), 1, MAX_LIMIT);
  const read = (count: number, after: Position | undefined): Promise<Page> =>
    historyOf(instance.sessions.hub.bus).read(channel, retentionOf(kind), {
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
  const body = bodyOf(text, part, instance.longAnswers, request.signal);
  // The time-out would also hold for the next request on the same connection.
  return new Response(body, { headers: { ...headers, connection: "close" } });
}

/** @throws Problem `no-history` */
function retentionOf({ history: retention }: Kind): Retention {
  if (retention === undefined) throw new Problem("no-history", "This channel keeps no history.");
  return retention;
}

/**
 * Returns a body that is produced as fast as the client reads it.
 *
 * @param gone aborts when the client disconnects
 */
function bodyOf(text: HistoryText, first: string, answers: LongAnswers, gone: AbortSignal): ReadableStream<Uint8Array> {
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
    // Bun pulls only if the connection has room.
    { highWaterMark: 0 },
  );
}
