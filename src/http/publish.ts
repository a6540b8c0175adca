import { isUtf8 } from "node:buffer";
import { Elysia } from "elysia";
import { subjectOf } from "../access/principal.ts";
import type { Kind } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import { formatPosition, POSITION, type Position } from "../position.ts";
import { admit } from "./admission.ts";
import { readBody } from "./body.ts";
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
} from "./reference/channel.ts";
import { operation } from "./reference/operation.ts";

const ROUTE = "/publish/";
const MAX_KEY = 128;
/** Bun counts no further, in seconds. */
const MAX_TIMEOUT_S = 255;
const GRACE_S = 5;

/** `POST /publish/<path>`: publishes the body, and answers once the bus has it. */
export function publish(instance: Instance) {
  const { hub } = instance.sessions;
  return new Elysia({ name: "publish" })
    .post(
      `${ROUTE}*`,
      async ({ request, server }) => {
        instance.rules.origins.require(request.headers);
        let body: Buffer | undefined;
        for (;;) {
          const { rules, target, principal } = await admit(instance, request, ROUTE, "publish");
          const { kind, channel } = target;
          const { limits } = rules.config;
          const key = idempotencyKey(request.headers, kind);
          body ??= await readBody(request, limits.maxMessageBytes);
          // It has waited for the body: other rules may hold by now.
          if (rules !== instance.rules) continue;
          const message = kind.encode(asMessage(body, request.headers.get("content-type")), subjectOf(principal));
          instance.accept();
          // It may wait for the bus for longer than a client may be silent.
          server?.timeout(request, Math.min(MAX_TIMEOUT_S, Math.ceil(limits.publishTimeoutMs / 1000) + GRACE_S));
          const position = await new Promise<Position | null>((confirmed, refused) => {
            hub.publish(target, message, { confirmed, refused, broken: false }, key);
          });
          const id = position === null ? null : formatPosition(position.epoch, position.offset);
          return Response.json({ channel, id }, { headers: rules.origins.corsHeaders(request.headers) });
        }
      },
      { parse: "none", detail },
    )
    .all(`${ROUTE}*`, otherMethods(instance, "POST"));
}

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ */
function idempotencyKey(headers: Headers, kind: Kind): string | undefined {
  const key = headers.get("idempotency-key");
  if (key === null) return undefined;
  if (kind.history === undefined) {
    throw new Problem("malformed-request", "This channel keeps no history, so it takes no Idempotency-Key.");
  }
  if (key.length < 1 || key.length > MAX_KEY) throw new Problem("malformed-request", `An Idempotency-Key has 1 to ${MAX_KEY} characters.`);
  return key;
}

function asMessage(body: Buffer, contentType: string | null): Message {
  if (contentType?.split(";")[0]?.trim().toLowerCase() === "application/octet-stream") return body;
  if (!isUtf8(body)) throw new Problem("malformed-text", "The body is not UTF-8; send binary as application/octet-stream.");
  return body.toString("utf8");
}

const detail = operation({
  operationId: "publish",
  tags: ["Backends"],
  summary: "Publish a message",
  description:
    "The body is the message. It is answered once the bus has it: the message is then ordered before whatever its sender sends after that.\n\nA 503 says that it was not confirmed: what was written to Redis already may still arrive. On a channel with history it is safe to say it again with the same `Idempotency-Key`.",
  security: channelAccess,
  parameters: [
    channelPath,
    optional(
      "header",
      "Idempotency-Key",
      "A repeat on the channel within 60 s, whatever its body, publishes nothing, and is answered as the first was. 400 on a channel without history.",
      { type: "string", minLength: 1, maxLength: MAX_KEY },
      "order-1234-paid",
    ),
  ],
  requestBody: {
    description:
      "`application/octet-stream` is published as a binary message, everything else as text, which has to be UTF-8. At most `max_message_bytes` (65536, unless the server is told otherwise); none is an empty message. Where the channel has an envelope the text is put in it, and binary is 400.",
    content: {
      "text/plain": { schema: { type: "string" }, example: "hello" },
      "application/json": { schema: {}, example: { order: 1234, state: "paid" } },
      "application/octet-stream": { schema: { type: "string", format: "binary" } },
    },
  },
  answers: {
    200: {
      description: "The bus has it",
      content: {
        "application/json": {
          schema: {
            type: "object",
            required: ["channel", "id"],
            properties: {
              channel: channelName,
              id: {
                type: "string",
                nullable: true,
                pattern: POSITION.source,
                description: "The message's position; `null` on a channel without history",
              },
            },
          },
          example: { channel: EXAMPLE_CHANNEL, id: EXAMPLE_POSITION },
        },
      },
    },
  },
  refusals: [...channelRefusals, "too-large", "malformed-text", "binary-refused", "draining", "bus-away", "not-confirmed", "queue-full"],
});
