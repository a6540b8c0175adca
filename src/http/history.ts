import { Elysia } from "elysia";
import type { Kind } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import { formatPosition, type Retention } from "../position.ts";
import { admit } from "./admission.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";
import {
  channelAccess,
  channelName,
  channelPath,
  channelRefusals,
  EXAMPLE_CHANNEL,
  EXAMPLE_POSITION,
  optional,
  positionSchema,
} from "./reference/channel.ts";
import { operation } from "./reference/operation.ts";
import { integerOf, sinceOf } from "./query.ts";
import { targetQuery } from "./target.ts";

const ROUTE = "/history/";
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/** `GET /history/<path>`: what is kept of a channel, ascending. */
export function history(instance: Instance) {
  const { house } = instance;
  return new Elysia({ name: "history" })
    .get(
      `${ROUTE}*`,
      async ({ request }) => {
        instance.rules.origins.require(request.headers);
        const { rules, target } = await admit(instance, request, ROUTE, "join", ({ kind }) => void retentionOf(kind));
        const { kind, channel } = target;
        const query = targetQuery(request.url);
        const since = query.get("since");
        const limit = integerOf("limit", query.get("limit") ?? String(DEFAULT_LIMIT), 1, MAX_LIMIT);
        const page = { limit, bytes: Number.POSITIVE_INFINITY, keepsAlive: false };
        const from = since === null ? page : { ...page, since: sinceOf("since", since) };
        const { epoch, head, resumed, start, messages } = await house.hub.history.read(channel, retentionOf(kind), from);
        const answer = {
          channel,
          position: formatPosition(epoch, head),
          resumed,
          messages: messages.map((message, index) => inJson(formatPosition(epoch, start + 1 + index), message)),
        };
        return Response.json(answer, { headers: rules.origins.corsHeaders(request.headers) });
      },
      { detail },
    )
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** @throws Problem `no-history` */
function retentionOf({ history: retention }: Kind): Retention {
  if (retention === undefined) throw new Problem("no-history", "This channel keeps no history.");
  return retention;
}

function inJson(id: string, message: Message): { id: string; text: string } | { id: string; base64: string } {
  return typeof message === "string" ? { id, text: message } : { id, base64: Buffer.from(message).toString("base64") };
}

const detail = operation({
  operationId: "getHistory",
  tags: ["Backends"],
  summary: "What is kept of a channel",
  security: channelAccess,
  parameters: [
    channelPath,
    optional("query", "since", "Those after this position, the first of them; left out: the newest", positionSchema, EXAMPLE_POSITION),
    optional("query", "limit", "How many at most", { type: "integer", minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT }, 10),
  ],
  answers: {
    200: {
      description: "The messages, oldest first",
      content: {
        "application/json": {
          schema: {
            type: "object",
            required: ["channel", "position", "resumed", "messages"],
            properties: {
              channel: channelName,
              position: { allOf: [positionSchema], description: "Of the channel's newest message" },
              resumed: {
                type: "boolean",
                nullable: true,
                description: "Whether everything after `since` was kept; else all that is kept is there. `null` without `since`",
              },
              messages: {
                type: "array",
                maxItems: MAX_LIMIT,
                items: {
                  type: "object",
                  required: ["id"],
                  properties: {
                    id: positionSchema,
                    text: { type: "string", description: "A text message as it is" },
                    base64: { type: "string", format: "byte", description: "A binary message, in base64" },
                  },
                  oneOf: [{ required: ["text"] }, { required: ["base64"] }],
                },
              },
            },
          },
          example: {
            channel: EXAMPLE_CHANNEL,
            position: "k3j9x0a2-9",
            resumed: true,
            messages: [
              { id: "k3j9x0a2-8", text: "hello" },
              { id: "k3j9x0a2-9", base64: "AP8=" },
            ],
          },
        },
      },
    },
  },
  refusals: [...channelRefusals, "no-history", "bus-away"],
});
