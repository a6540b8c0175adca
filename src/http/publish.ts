import { isUtf8 } from "node:buffer";
import { Elysia } from "elysia";
import { subjectOf } from "../access/principal.ts";
import type { Kind } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import { formatPosition, type Position } from "../position.ts";
import { admit } from "./admission.ts";
import { readBody } from "./body.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";

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
      { parse: "none" },
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
