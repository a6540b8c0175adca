import { createHash, timingSafeEqual } from "node:crypto";
import type { Target } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import { ANONYMOUS, subjectOf, type Principal } from "./claims.ts";
import type { Tokens } from "./tokens.ts";

/** A token or the API key, as a request brings it. */
export interface Credential {
  readonly token: string;
  /** False for credentials from a url: the API key must not stand in urls, which end up in logs (CWE-598). */
  readonly mayBeKey: boolean;
}

/** The values of `WWW-Authenticate` (RFC 6750 §3). */
const CHALLENGE = 'Bearer realm="lockstep"';
const INVALID_TOKEN = `${CHALLENGE}, error="invalid_token"`;
const INSUFFICIENT_SCOPE = `${CHALLENGE}, error="insufficient_scope"`;

/** Identifies principals and checks their rights (contract §5). Without keys nobody can bring a token, and open channels are open. */
export class Policy {
  readonly #tokens: Tokens;
  readonly #apiKey: Buffer | undefined;

  /** @param apiKey empty: no API key */
  constructor(tokens: Tokens, apiKey: string) {
    this.#tokens = tokens;
    this.#apiKey = apiKey === "" ? undefined : digest(apiKey);
  }

  /** A policy with the same tokens and another API key. Sessions with a token stay accepted. */
  withKey(apiKey: string): Policy {
    return new Policy(this.#tokens, apiKey);
  }

  /** At least one key is set, for tokens or for backends. */
  get keyed(): boolean {
    return this.#tokens.any || this.#apiKey !== undefined;
  }

  /** A principal can have a subject. */
  get hasSubjects(): boolean {
    return this.#tokens.any;
  }

  /** The principal behind a credential. @throws Problem `unauthorized` for a token that is not valid, even if none is needed */
  async identify(credential: Credential | undefined): Promise<Principal> {
    if (credential === undefined || !this.keyed) return ANONYMOUS;
    const { token, mayBeKey } = credential;
    const given = digest(token);
    if (mayBeKey && this.#isKey(given)) return { by: "key", digest: given };
    const claims = await this.#tokens.verify(token);
    if (claims === undefined) throw unauthorized("The token is not valid here.", INVALID_TOKEN);
    return claims;
  }

  /** A principal that an earlier policy identified is still valid under this one. */
  accepts(principal: Principal): boolean {
    if (principal.by === "token") return principal.verifier === this.#tokens;
    return principal.by === "nobody" || this.#isKey(principal.digest);
  }

  /** @throws Problem `unauthorized`, `forbidden` */
  requireJoin(principal: Principal, target: Target): void {
    if (!this.#allows(principal, "subscribe", target)) throw refusal(principal, "join or read this channel");
  }

  /** @throws Problem `unauthorized`, `forbidden` */
  requirePublish(principal: Principal, target: Target): void {
    if (!this.mayPublish(principal, target)) throw refusal(principal, "publish on this channel");
  }

  mayPublish(principal: Principal, target: Target): boolean {
    return this.#allows(principal, "publish", target);
  }

  /** @throws Problem `unauthorized`, `forbidden` for all but the API key */
  requireKey(principal: Principal): void {
    if (principal.by !== "key") throw refusal(principal, "do this: it takes the API key");
  }

  #allows(principal: Principal, right: "subscribe" | "publish", { kind, segments, owner }: Target): boolean {
    if (principal.by === "key") return true;
    const rule = right === "subscribe" ? kind.access : kind.publish;
    if (rule === "key") return false;
    if (owner !== undefined && (principal.by !== "token" || principal.subject !== owner)) return false;
    return rule === "open" || (principal.by === "token" && principal[right].some((pattern) => pattern.matches(segments)));
  }

  /** Compares digests of equal length in constant time (CWE-208). */
  #isKey(given: Buffer): boolean {
    return this.#apiKey !== undefined && timingSafeEqual(this.#apiKey, given);
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refusal(principal: Principal, what: string): Problem {
  if (principal.by === "nobody") return unauthorized(`It takes a token to ${what}.`, CHALLENGE);
  const headers = { "www-authenticate": INSUFFICIENT_SCOPE };
  return new Problem("forbidden", `This token has no right to ${what}.`, headers, subjectOf(principal));
}

function unauthorized(detail: string, challenge: string): Problem {
  return new Problem("unauthorized", detail, { "www-authenticate": challenge });
}
