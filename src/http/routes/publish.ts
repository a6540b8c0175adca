import { isUtf8 } from "node:buffer";
import { subjectOf } from "../../access/claims.ts";
import type { Kind } from "../../channels/kind.ts";
import { Problem } from "../../errors.ts";
import type { Message } from "../../message.ts";
import { formatPosition, type Position } from "../../position.ts";
import { authorize } from "../authorize.ts";
import type { HttpServer, Instance } from "../context.ts";
import { readBody } from "../request/body.ts";

const MAX_KEY_LENGTH = 128;
/** The longest time-out that Bun takes, in seconds. */
const MAX_TIMEOUT_S = 255;
const GRACE_S = 5;

/** `POST /publish/<path>`: publishes the body, and answers once the bus has it. */
export async function publish(instance: Instance, request: Request, server: HttpServer | null): Promise<Response> {
  const { headers } = request;
  instance.rules.origins.require(headers);
  let authorization = await authorize(instance, request, "publish");
  let key = idempotencyKey(headers, authorization.target.kind);
  const body = await readBody(request, authorization.rules.config.limits.maxMessageBytes);
  // A reload may have come while the body did.
  if (authorization.rules !== instance.rules) {
    authorization = await authorize(instance, request, "publish");
    key = idempotencyKey(headers, authorization.target.kind);
  }
  const { rules, target, principal } = authorization;
  const { kind, channel } = target;
  const message = kind.encode(asMessage(body, headers.get("content-type")), subjectOf(principal));
  instance.accept();
  // The bus may take longer than Bun lets a client be silent.
  server?.timeout(request, Math.min(MAX_TIMEOUT_S, Math.ceil(rules.config.limits.publishTimeoutMs / 1000) + GRACE_S));
  const position = await new Promise<Position | null>((confirmed, refused) => {
    instance.sessions.hub.publish(target, message, { confirmed, refused, broken: false }, key);
  });
  const id = position === null ? null : formatPosition(position.epoch, position.offset);
  return Response.json({ channel, id }, { headers: rules.origins.corsHeaders(headers) });
}

/**
 * Reads the key by which a repeat is recognised (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
 *
 * @throws Problem `malformed-request`, also if the channel keeps no history
 */
function idempotencyKey(headers: Headers, kind: Kind): string | undefined {
  const key = headers.get("idempotency-key");
  if (key === null) return undefined;
  if (kind.history === undefined) {
    throw new Problem("malformed-request", "This channel keeps no history, so it takes no Idempotency-Key.");
  }
  if (key.length < 1 || key.length > MAX_KEY_LENGTH) {
    throw new Problem("malformed-request", `An Idempotency-Key has 1 to ${MAX_KEY_LENGTH} characters.`);
  }
  return key;
}

/** @throws Problem `malformed-text` */
function asMessage(body: Buffer, contentType: string | null): Message {
  if (contentType?.split(";")[0]?.trim().toLowerCase() === "application/octet-stream") return body;
  if (!isUtf8(body)) throw new Problem("malformed-text", "The body is not UTF-8. Send binary as application/octet-stream.");
  return body.toString("utf8");
}
