import { isUtf8 } from "node:buffer";
import { Elysia } from "elysia";
import type { Kind } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Instance } from "./context.ts";
import { ANY_ORIGIN } from "./cors.ts";
import { methodNotAllowed } from "./problems.ts";
import { targetChannel } from "./target.ts";

const ROUTE = "/publish/";
const MAX_KEY = 128;

/** `POST /publish/<path>`: publishes the body, and answers once the bus has it. */
export function publish(instance: Instance) {
  const { config, house } = instance;
  return new Elysia({ name: "publish" })
    .post(
      `${ROUTE}*`,
      async ({ request }) => {
        const target = targetChannel(request.url, ROUTE, config.kinds);
        const { kind, channel } = target;
        const key = idempotencyKey(request.headers, kind);
        const body = await readBody(request, config.limits.maxMessageBytes);
        const message = kind.encode(asMessage(body, request.headers.get("content-type")), null);
        instance.accept();
        const id = await new Promise<string | null>((confirmed, refused) => {
          house.hub.publish(target, message, { confirmed, refused, broken: false }, key);
        });
        return Response.json({ channel, id }, { headers: ANY_ORIGIN });
      },
      { parse: "none" },
    )
    .all(`${ROUTE}*`, methodNotAllowed("POST"));
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

/** Reads the whole body, and stops as soon as it is too large: what a client says of the length need not be true. */
async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = new Problem("too-large", `A message has at most ${maxBytes} bytes.`, { connection: "close" });
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of request.body ?? []) {
      bytes += part.byteLength;
      if (bytes > maxBytes) throw tooLarge;
      parts.push(part);
    }
  } catch (error) {
    if (error === tooLarge) throw error;
    throw new Problem("malformed-request", "The body did not arrive whole.");
  }
  return Buffer.concat(parts);
}
