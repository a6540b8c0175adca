import { signToken, wrongPattern } from "../access/sign.ts";
import { loadConfig } from "../config/config.ts";
import { DURATION, durationMs } from "../duration.ts";
import { expectWords, UsageError, type Options } from "./words.ts";

const DEFAULT_TTL = "1h";

/** `lockstep token`: writes a token that the server's own secret signs. */
export async function token(
  words: readonly string[],
  { config: file, sub, subscribe = [], publish = [], ttl = DEFAULT_TTL }: Options,
): Promise<number> {
  expectWords(words, 0, "token takes no words, only options");
  const ttlMs = new RegExp(DURATION).test(ttl) ? durationMs(ttl) : 0;
  if (ttlMs === 0) throw new UsageError(`--ttl takes digits and ms, s, m, h or d, as in 1h, and not ${JSON.stringify(ttl)}`);
  if (sub === "") throw new UsageError("--sub takes a subject");
  const grant = { subject: sub, subscribe, publish, ttlMs };
  const wrong = wrongPattern(grant);
  if (wrong !== undefined)
    throw new UsageError(`${JSON.stringify(wrong)} is no pattern: it takes a path, with * for a segment and ** at the end for more`);
  const { jwtSecret } = loadConfig(process.env, file).auth;
  if (jwtSecret === "")
    throw new UsageError("token takes the secret that signs it from LOCKSTEP_JWT_SECRET, or from auth.jwt_secret of the file");
  process.stdout.write(`${await signToken(grant, jwtSecret)}\n`);
  return 0;
}
