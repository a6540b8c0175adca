import { createRemoteJWKSet, customFetch, decodeProtectedHeader, errors, jwtVerify, type JWTVerifyOptions, type RemoteJWKSet } from "jose";
import { readAtMost, TokenBucket } from "../lib/bounds.ts";
import { describeError, type Log } from "../log.ts";

/** The longest wait of a handshake for keys that have to be fetched. */
const FETCH_TIMEOUT_MS = 2500;
/** The limit on requests for keys, twice that in a burst: anybody can make up tokens with unknown key ids. */
const FETCHES_PER_SECOND = 2;
const WAIT_MS = 50;
const MAX_BYTES = 1024 * 1024;
const REPORT_MS = 60_000;

/**
 * The keys behind a url (RFC 7517 §5). They are cached for ten minutes, and fetched again for a token with an unknown key. While they
 * cannot be fetched, no token is valid.
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
        // jose lets all tokens that come meanwhile wait for the same answer.
        while (!this.#fetches.take()) await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
        return bounded(await fetch(target, options));
      },
    });
  }

  /**
   * The payload of a token.
   *
   * @throws Error if it is not genuine, or if the keys cannot be fetched
   */
  async verify(token: string, options: JWTVerifyOptions): Promise<unknown> {
    try {
      return await this.#verify(token, options);
    } catch (error) {
      // A token without a key id was tried with all known keys. A newer one may fit.
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
      // A token without a key id may be signed with any key that fits its algorithm.
      for await (const candidate of error) {
        const found = await jwtVerify(token, candidate, options).catch(() => undefined);
        if (found !== undefined) return found.payload;
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  /** Runs a request for keys, and logs failures at most once a minute. */
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

/** The response, read into memory. @throws Error for a body over the limit */
async function bounded({ body, status }: Response): Promise<Response> {
  const bytes = await readAtMost(body, MAX_BYTES);
  if (bytes === undefined) throw new Error(`the list of keys has more than ${MAX_BYTES} bytes`);
  return new Response(bytes, { status });
}
