import { parseArgs } from "node:util";
import { DURATION, durationMs } from "../lib/duration.ts";
import { UsageError } from "../errors.ts";

const options = {
  config: { type: "string" },
  sub: { type: "string" },
  subscribe: { type: "string", multiple: true },
  publish: { type: "string", multiple: true },
  ttl: { type: "string" },
  since: { type: "string" },
  recent: { type: "string" },
  json: { type: "boolean" },
  timeout: { type: "string" },
  "idempotency-key": { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

export type Options = ReturnType<typeof parseWords>["values"];

/** Options and other words of a command line. @throws UsageError */
export function parseWords(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], allowPositionals: true, options });
  } catch (error) {
    const [what = ""] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    throw new UsageError(
      `${what.charAt(0).toLowerCase()}${what.slice(1)}; see lockstep --help (what only begins with a dash stands after --)`,
    );
  }
}

/** The words, if their number is right. @throws UsageError with `otherwise` */
export function expectWords(words: readonly string[], count: number, otherwise: string): readonly string[] {
  if (words.length !== count) throw new UsageError(otherwise);
  return words;
}

/** A duration over 0 in milliseconds, from the text of an option. @throws UsageError */
export function parseWait(option: string, text: string): number {
  const ms = new RegExp(DURATION).test(text) ? durationMs(text) : 0;
  if (ms === 0) throw new UsageError(`${option} takes digits and ms, s, m, h or d, as in 1h, not ${JSON.stringify(text)}`);
  return ms;
}
