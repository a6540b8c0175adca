import { loadConfig } from "../config/config.ts";
import { expectWords } from "./words.ts";

/** `lockstep check FILE`: what the file says alone, without the environment. */
export function check(words: readonly string[]): Promise<number> {
  const [file] = expectWords(words, 1, "check takes one file");
  const { kinds, broadcasts } = loadConfig({}, file);
  process.stdout.write(`${file}: valid, ${kinds.length} kinds of channel, ${broadcasts.length} broadcasts\n`);
  return Promise.resolve(0);
}
