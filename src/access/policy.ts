import { createHash, timingSafeEqual } from "node:crypto";
import type { Target } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import { ANONYMOUS, subjectOf, type Principal } from "./principal.ts";
import type { Tokens } from "./tokens.ts";

/** What a request brings to say who it is. */
export interface Credential {
  readonly token: string;
  /** Only a Bearer token in a header may be the API key: urls end up in logs. */
  readonly mayBeKey: boolean;
}

/** RFC 6750 §3: how a 401 and a 403 say what is missing. */
const CHALLENGE = 'Bearer realm="lockstep"';
const INVALID_TOKEN = `${CHALLENGE}, error="invalid_token"`;
const INSUFFICIENT_SCOPE = `${CHALLENGE}, error="insufficient_scope"`;

/** Who may do what (contract §5). Without keys there are no tokens, and what asks for none is open. */
export class Policy {
  readonly #tokens: Tokens;
  readonly #apiKey: Buffer | undefined;

  /** @param apiKey empty: none */
  constructor(tokens: Tokens, apiKey: string) {
    this.#tokens = tokens;
    this.#apiKey = apiKey === "" ? undefined : digest(apiKey);
  }

  /** The same tokens, with another API key. */
  withKey(apiKey: string): Policy {
    return new Policy(this.#tokens, apiKey);
  }

  /** Whether any key is set. */
  get keyed(): boolean {
    return this.#tokens.any || this.#apiKey !== undefined;
  }

  /** Whether anybody can come with a subject. */
  get hasSubjects(): boolean {
    return this.#tokens.any;
  }

  /** @throws Problem `unauthorized` for a token that is not valid, also where none is needed */
  async identify(credential: Credential | undefined): Promise<Principal> {
    if (credential === undefined || !this.keyed) return ANONYMOUS;
    const { token, mayBeKey } = credential;
    const given = digest(token);
    if (mayBeKey && this.#isKey(given)) return { by: "key", digest: given };
    const claims = await this.#tokens.verify(token);
    if (claims === undefined) throw unauthorized("The token is not valid here.", INVALID_TOKEN);
    return claims;
  }

  /** Whether who was let in by earlier keys would be let in by these. */
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

  /** In constant time, whatever the lengths were. */
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
