import { signToken, wrongPattern } from "../access/claims.ts";
import { loadConfig } from "../config/load.ts";
import { UsageError } from "../errors.ts";
import { mention, print, expectWords, parseWait, type Options } from "./terminal.ts";

export const TOKEN_HELP = `Prints a token, signed with the JWT secret of the server.

Usage:
  lockstep token [--sub SUBJECT] [--subscribe PATTERN]... [--publish PATTERN]... [--ttl 1h] [--config FILE]

Options:
  --sub SUBJECT        the subject of the token, as a user's id
  --subscribe PATTERN  channels to join and read; may be repeated
  --publish PATTERN    channels to publish on; may be repeated
  --ttl DURATION       the life time: digits and ms, s, m, h or d (default: 1h)
  --config FILE        a file with the secret in auth.jwt_secret; LOCKSTEP_JWT_SECRET wins over it

A pattern is a path in which * stands for one segment, and a last ** for one or more.

Examples:
  LOCKSTEP_JWT_SECRET=... lockstep token --sub alice --subscribe 'rooms/*' --publish 'rooms/*' --ttl 1h
  LOCKSTEP_TOKEN=$(lockstep token --config lockstep.toml --subscribe '**') lockstep subscribe http://localhost:9001/rooms/lobby

Exit codes: 0 success, 2 wrong arguments or configuration.
`;

const DEFAULT_TTL = "1h";

/** `lockstep token`: prints a token, signed with the secret of the server. */
export async function token(
  words: readonly string[],
  { config: file, sub, subscribe = [], publish = [], ttl = DEFAULT_TTL }: Options,
): Promise<number> {
  expectWords(words, 0, "token takes options only");
  const ttlMs = parseWait("--ttl", ttl);
  if (sub === "") throw new UsageError("--sub takes a subject");
  const claims = { subject: sub, subscribe, publish, ttlMs };
  const wrong = wrongPattern(claims);
  if (wrong !== undefined)
    throw new UsageError(`${JSON.stringify(wrong)} is not a pattern: a pattern is a path, with * for one segment and a last ** for more`);
  const { jwtSecret } = loadConfig(process.env, file).auth;
  if (jwtSecret === "") throw new UsageError("token needs the JWT secret, from LOCKSTEP_JWT_SECRET or from auth.jwt_secret in the file");
  print(`${await signToken(claims, jwtSecret)}\n`);
  if (subscribe.length + publish.length === 0) mention("this token allows nothing; --subscribe and --publish say where it does");
  return 0;
}
