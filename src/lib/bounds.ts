/** The whole body, or undefined as soon as it exceeds `maxBytes`. @throws Error of the stream */
export async function readAtMost(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Buffer | undefined> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body ?? []) {
    bytes += part.byteLength;
    if (bytes > maxBytes) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** A token bucket (https://en.wikipedia.org/wiki/Token_bucket) with bursts of twice its rate. */
export class TokenBucket {
  #rate: number;
  #tokens: number;
  #filledMs = Date.now();

  /** @param rate tokens a second; 0: no limit */
  constructor(rate: number) {
    this.#rate = rate;
    this.#tokens = rate * 2;
  }

  /** Takes a token, and returns false if there is none. @param rate the rate from now on */
  take(rate = this.#rate): boolean {
    if (rate !== this.#rate) {
      this.#tokens = rate * 2;
      this.#rate = rate;
    }
    if (rate === 0) return true;
    const nowMs = Date.now();
    if (nowMs > this.#filledMs) {
      this.#tokens = Math.min(this.#rate * 2, this.#tokens + ((nowMs - this.#filledMs) * this.#rate) / 1000);
      this.#filledMs = nowMs;
    } else if (nowMs < this.#filledMs) {
      this.#filledMs = nowMs; // the clock was set back
    }
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
