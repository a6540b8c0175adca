import { isUtf8 } from "node:buffer";
import { Elysia } from "elysia";
import { subjectOf } from "../access/caller.ts";
import type { Kind } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import { readBody } from "./body.ts";
import type { Instance } from "./context.ts";
import { credentialOf } from "./credential.ts";
import { otherMethods } from "./problems.ts";
import { targetChannel } from "./target.ts";

const ROUTE = "/publish/";
const MAX_KEY = 128;
/** Bun counts no further, in seconds. */
const MAX_TIMEOUT_S = 255;
const GRACE_S = 5;

/** `POST /publish/<path>`: publishes the body, and answers once the bus has it. */
export function publish(instance: Instance) {
  const { house } = instance;
  return new Elysia({ name: "publish" })
    .post(
      `${ROUTE}*`,
      async ({ request, server }) => {
        const { rules } = instance;
        const { config, access, origins } = rules;
        origins.require(request.headers);
        const target = targetChannel(request.url, ROUTE, config.kinds);
        const caller = await access.identify(credentialOf(request));
        access.requirePublish(caller, target);
        const { kind, channel } = target;
        const key = idempotencyKey(request.headers, kind);
        const body = await readBody(request, config.limits.maxMessageBytes);
        const message = kind.encode(asMessage(body, request.headers.get("content-type")), subjectOf(caller));
        instance.accept(rules);
        // It may wait for the bus for longer than a client may be silent.
        server?.timeout(request, Math.min(MAX_TIMEOUT_S, Math.ceil(config.limits.publishTimeoutMs / 1000) + GRACE_S));
        const id = await new Promise<string | null>((confirmed, refused) => {
          house.hub.publish(target, message, { confirmed, refused, broken: false }, key);
        });
        return Response.json({ channel, id }, { headers: origins.corsHeaders(request.headers) });
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
