import { loadConfig } from "../config/load.ts";
import { print } from "./say.ts";
import { expectWords } from "./words.ts";

export const CHECK_HELP = `Checks a configuration file alone, without the environment.

Usage:
  lockstep check FILE

Example:
  lockstep check lockstep.toml && kill -HUP "$(pidof lockstep)"

Exit codes: 0 valid, 2 not valid, with one line on standard error for each fault.
`;

/** `lockstep check FILE`. The environment does not count. */
export function check(words: readonly string[]): Promise<number> {
  const [file] = expectWords(words, 1, "check takes one file");
  const { kinds, broadcasts } = loadConfig({}, file);
  print(`${file}: valid, ${count(kinds, "kind")} of channel, ${count(broadcasts, "broadcast")}\n`);
  return Promise.resolve(0);
}

function count({ length }: readonly unknown[], noun: string): string {
  return `${length} ${noun}${length === 1 ? "" : "s"}`;
}
