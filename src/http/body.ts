import { readAtMost } from "../lib/read-at-most.ts";
import { Problem } from "../errors.ts";

/**
 * Reads the whole body, and stops as soon as it is too large: what a client says of the length need not be true. Who sends a
 * byte now and then is cut by Bun's idle time-out, which counts from the request's beginning.
 *
 * @throws Problem `too-large`, `malformed-request` where it does not arrive
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = new Problem("too-large", `A body has at most ${maxBytes} bytes.`, { connection: "close" });
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge;
  const body = await readAtMost(request.body, maxBytes).catch(() => {
    throw new Problem("malformed-request", "The body did not arrive whole.", { connection: "close" });
  });
  if (body === undefined) throw tooLarge;
  return body;
}
