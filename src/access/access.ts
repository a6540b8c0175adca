import { createHash, timingSafeEqual } from "node:crypto";
import type { Resolved } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import { NOBODY, subjectOf, type Caller } from "./caller.ts";
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
export class Access {
  readonly #tokens: Tokens;
  readonly #apiKey: Buffer | undefined;

  /** @param apiKey empty: none */
  constructor(tokens: Tokens, apiKey: string) {
    this.#tokens = tokens;
    this.#apiKey = apiKey === "" ? undefined : digest(apiKey);
  }

  /** The same tokens, with another API key. */
  withKey(apiKey: string): Access {
    return new Access(this.#tokens, apiKey);
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
  async identify(credential: Credential | undefined): Promise<Caller> {
    if (credential === undefined || !this.keyed) return NOBODY;
    const { token, mayBeKey } = credential;
    const given = digest(token);
    if (mayBeKey && this.#isKey(given)) return { by: "key", digest: given };
    const holder = await this.#tokens.verify(token);
    if (holder === undefined) throw unauthorized("The token is not valid here.", INVALID_TOKEN);
    return holder;
  }

  /** Whether who was let in by earlier keys would be let in by these. */
  accepts(caller: Caller): boolean {
    if (caller.by === "token") return caller.verifier === this.#tokens;
    return caller.by === "nobody" || this.#isKey(caller.digest);
  }

  /** @throws Problem `unauthorized`, `forbidden` */
  requireJoin(caller: Caller, target: Resolved): void {
    if (!this.#allows(caller, "subscribe", target)) throw refusal(caller, "join or read this channel");
  }

  /** @throws Problem `unauthorized`, `forbidden` */
  requirePublish(caller: Caller, target: Resolved): void {
    if (!this.mayPublish(caller, target)) throw refusal(caller, "publish on this channel");
  }

  mayPublish(caller: Caller, target: Resolved): boolean {
    return this.#allows(caller, "publish", target);
  }

  /** @throws Problem `unauthorized`, `forbidden` for all but the API key */
  requireKey(caller: Caller): void {
    if (caller.by !== "key") throw refusal(caller, "do this: it takes the API key");
  }

  #allows(caller: Caller, right: "subscribe" | "publish", { kind, segments, owner }: Resolved): boolean {
    if (caller.by === "key") return true;
    const rule = right === "subscribe" ? kind.access : kind.publish;
    if (rule === "key") return false;
    if (owner !== undefined && (caller.by !== "token" || caller.subject !== owner)) return false;
    return rule === "open" || (caller.by === "token" && caller[right].some((pattern) => pattern.matches(segments)));
  }

  /** In constant time, whatever the lengths were. */
  #isKey(given: Buffer): boolean {
    return this.#apiKey !== undefined && timingSafeEqual(this.#apiKey, given);
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refusal(caller: Caller, what: string): Problem {
  if (caller.by === "nobody") return unauthorized(`It takes a token to ${what}.`, CHALLENGE);
  const headers = { "www-authenticate": INSUFFICIENT_SCOPE };
  return new Problem("forbidden", `This token has no right to ${what}.`, headers, subjectOf(caller));
}

function unauthorized(detail: string, challenge: string): Problem {
  return new Problem("unauthorized", detail, { "www-authenticate": challenge });
}
