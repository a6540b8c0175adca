import { signToken, wrongPattern } from "../access/claims.ts";
import { loadConfig } from "../config/load.ts";
import { UsageError } from "../usage-error.ts";
import { mention, print } from "./say.ts";
import { expectWords, parseWait, type Options } from "./words.ts";

export const TOKEN_HELP = `Writes a token that the server's JWT secret signs.

Usage:
  lockstep token [--sub SUBJECT] [--subscribe PATTERN]... [--publish PATTERN]... [--ttl 1h] [--config FILE]

Options:
  --sub SUBJECT        who it is for
  --subscribe PATTERN  where its holder may join and read; may be given more than once
  --publish PATTERN    where its holder may publish; may be given more than once
  --ttl DURATION       for how long it is valid: digits and ms, s, m, h or d; 1h if left out
  --config FILE        where the secret is, as auth.jwt_secret; LOCKSTEP_JWT_SECRET wins over it

A pattern is a path in which * stands for one segment, and a last ** for one or more.

Examples:
  LOCKSTEP_JWT_SECRET=... lockstep token --sub alice --subscribe 'rooms/*' --publish 'rooms/*' --ttl 1h
  LOCKSTEP_TOKEN=$(lockstep token --config lockstep.toml --subscribe '**') lockstep subscribe http://localhost:9001/rooms/lobby

Exit codes: 0 written, 2 the words or the configuration are wrong.
`;

const DEFAULT_TTL = "1h";

/** `lockstep token`: writes a token that the server's own secret signs. */
export async function token(
  words: readonly string[],
  { config: file, sub, subscribe = [], publish = [], ttl = DEFAULT_TTL }: Options,
): Promise<number> {
  expectWords(words, 0, "token takes no words, only options");
  const ttlMs = parseWait("--ttl", ttl);
  if (sub === "") throw new UsageError("--sub takes a subject");
  const claims = { subject: sub, subscribe, publish, ttlMs };
  const wrong = wrongPattern(claims);
  if (wrong !== undefined)
    throw new UsageError(`${JSON.stringify(wrong)} is no pattern: it takes a path, with * for a segment and ** at the end for more`);
  const { jwtSecret } = loadConfig(process.env, file).auth;
  if (jwtSecret === "")
    throw new UsageError("token takes the secret that signs it from LOCKSTEP_JWT_SECRET, or from auth.jwt_secret of the file");
  print(`${await signToken(claims, jwtSecret)}\n`);
  if (subscribe.length + publish.length === 0) mention("this token allows nothing; --subscribe and --publish say where it does");
  return 0;
}
