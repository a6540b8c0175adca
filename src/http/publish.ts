import { isUtf8 } from "node:buffer";
import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Instance } from "./context.ts";
import { methodNotAllowed } from "./problems.ts";
import { targetChannel } from "./target.ts";

const ROUTE = "/publish/";

/** `POST /publish/<path>`: publishes the body, and answers once the bus has it. */
export function publish(instance: Instance) {
  const { config, hub } = instance;
  return new Elysia({ name: "publish" })
    .post(
      `${ROUTE}*`,
      async ({ request }) => {
        const { kind, channel } = targetChannel(request.url, ROUTE, config.kinds);
        if (request.headers.has("idempotency-key")) {
          throw new Problem("malformed-request", "This channel keeps no history, so it takes no Idempotency-Key.");
        }
        const body = await readBody(request, config.limits.maxMessageBytes);
        const message = kind.encode(asMessage(body, request.headers.get("content-type")), null);
        instance.accept();
        const id = await new Promise<string | null>((confirmed, refused) => {
          hub.publish(channel, message, { confirmed, refused, broken: false });
        });
        return Response.json({ channel, id });
      },
      { parse: "none" },
    )
    .all(`${ROUTE}*`, methodNotAllowed("POST"));
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
