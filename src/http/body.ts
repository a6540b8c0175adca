import { Problem } from "../errors.ts";

/** Milliseconds in which a body has to be there: who sends a byte now and then holds nothing for longer. */
const ARRIVAL_MS = 30_000;

/**
 * Reads the whole body, and stops as soon as it is too large: what a client says of the length need not be true.
 *
 * @throws Problem `too-large`, `malformed-request` where it does not arrive
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = new Problem("too-large", `A body has at most ${maxBytes} bytes.`, { connection: "close" });
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge;
  const reader = request.body?.getReader();
  if (reader === undefined) return Buffer.alloc(0);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void reader.cancel();
  }, ARRIVAL_MS);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.byteLength;
      if (bytes > maxBytes) throw tooLarge;
      parts.push(part.value);
    }
  } catch (error) {
    if (error === tooLarge) throw error;
    throw new Problem("malformed-request", "The body did not arrive whole.", { connection: "close" });
  } finally {
    clearTimeout(timer);
  }
  // What was cancelled looks as if it had ended.
  if (late) throw new Problem("malformed-request", "The body did not arrive in time.", { connection: "close" });
  return Buffer.concat(parts);
}
