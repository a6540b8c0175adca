import { createRemoteJWKSet, customFetch, decodeProtectedHeader, errors, jwtVerify, type JWTVerifyOptions, type RemoteJWKSet } from "jose";
import { readAtMost } from "../lib/read-at-most.ts";
import { describeError, type Log } from "../log.ts";
import { TokenBucket } from "../lib/token-bucket.ts";

/** How long a handshake may wait for keys that have to be fetched. */
const FETCH_TIMEOUT_MS = 2500;
/** Keys are asked for this often, whatever names of keys strangers make up, and twice that in a burst. */
const FETCHES_PER_SECOND = 2;
const WAIT_MS = 50;
const MAX_BYTES = 1024 * 1024;
const REPORT_MS = 60_000;

/**
 * The keys behind a url (RFC 7517 §5). They are kept for ten minutes, and fetched again when a token is of an unknown one. While
 * they cannot be had, no token is good.
 */
export class RemoteKeys {
  readonly #log: Log;
  readonly #keys: RemoteJWKSet;
  readonly #fetches = new TokenBucket(FETCHES_PER_SECOND);
  #reportedMs = 0;

  constructor(url: string, log: Log) {
    this.#log = log;
    this.#keys = createRemoteJWKSet(new URL(url), {
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: 0,
      [customFetch]: async (target, options) => {
        // Whoever comes meanwhile waits for the same answer.
        while (!this.#fetches.take()) await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
        return bounded(await fetch(target, options));
      },
    });
  }

  /**
   * The claims of a token.
   *
   * @throws Error where it is not genuine, or that cannot be known
   */
  async verify(token: string, options: JWTVerifyOptions): Promise<unknown> {
    try {
      return await this.#verify(token, options);
    } catch (error) {
      // Without a name it was tried with the keys that are known: there may be newer ones.
      if (!(error instanceof errors.JWSSignatureVerificationFailed) || decodeProtectedHeader(token).kid !== undefined) throw error;
      await this.#ask(() => this.#keys.reload());
      return this.#verify(token, options);
    }
  }

  async #verify(token: string, options: JWTVerifyOptions): Promise<unknown> {
    try {
      const { payload } = await jwtVerify(token, (header, parts) => this.#ask(() => this.#keys(header, parts)), options);
      return payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // A token that does not name its key may be of any that fit.
      for await (const candidate of error) {
        const found = await jwtVerify(token, candidate, options).catch(() => undefined);
        if (found !== undefined) return found.payload;
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  /** Logs it once a minute where keys cannot be had. */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      const isAnswer = error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys;
      if (!isAnswer && Date.now() - this.#reportedMs > REPORT_MS) {
        this.#reportedMs = Date.now();
        this.#log.error("tokens cannot be verified: their keys cannot be had", { error: describeError(error) });
      }
      throw error;
    }
  }
}

/** @throws Error where the body is larger than any list of keys */
async function bounded({ body, status }: Response): Promise<Response> {
  const bytes = await readAtMost(body, MAX_BYTES);
  if (bytes === undefined) throw new Error(`the list of keys has more than ${MAX_BYTES} bytes`);
  return new Response(bytes, { status });
}
