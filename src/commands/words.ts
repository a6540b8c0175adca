import { parseArgs } from "node:util";

/** The words of the command line are wrong. */
export class UsageError extends Error {}

const options = {
  config: { type: "string" },
  sub: { type: "string" },
  subscribe: { type: "string", multiple: true },
  publish: { type: "string", multiple: true },
  ttl: { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

export type Options = ReturnType<typeof parseWords>["values"];

/** @throws UsageError */
export function parseWords(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @throws UsageError where there are more or fewer */
export function expectWords(words: readonly string[], count: number, otherwise: string): readonly string[] {
  if (words.length !== count) throw new UsageError(otherwise);
  return words;
}
