import { ReplyError, type Redis } from "ioredis";
import { describeError, type Log } from "../log.ts";
import appendNextText from "./scripts/append-next.lua" with { type: "text" };
import appendRestText from "./scripts/append-rest.lua" with { type: "text" };
import logText from "./scripts/log.lua" with { type: "text" };
import presentReadText from "./scripts/present-read.lua" with { type: "text" };
import presentWriteText from "./scripts/present-write.lua" with { type: "text" };
import readText from "./scripts/read.lua" with { type: "text" };
import tickText from "./scripts/tick.lua" with { type: "text" };

type Argument = string | number | Buffer;

/** A script that Redis runs whole, with nothing in between. */
export class Script {
  readonly sha: string;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    this.sha = new Bun.CryptoHasher("sha1").update(text).digest("hex");
  }

  /** Runs it, and gives Redis its text where Redis does not have it: then it did nothing yet. */
  async run(client: Redis, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    try {
      return await client.callBuffer("EVALSHA", [this.sha, keys.length, ...keys, ...args]);
    } catch (error) {
      if (!isMissingScript(error)) throw error;
      return client.callBuffer("EVAL", [this.text, keys.length, ...keys, ...args]);
    }
  }
}

/** Gives Redis all scripts beforehand: then what is sent afterwards keeps its order. */
export function loadScripts(client: Redis, log: Log): void {
  for (const { text } of [appendScript, readScript, tickScript, presentReadScript, presentWriteScript]) {
    client.script("LOAD", text).catch((error: unknown) => log.debug("loading a script failed", { error: describeError(error) }));
  }
}

export function isMissingScript(error: unknown): boolean {
  return error instanceof ReplyError && error instanceof Error && error.message.startsWith("NOSCRIPT");
}

export const appendScript = new Script(appendNextText + logText + appendRestText);
export const readScript = new Script(logText + readText);
export const presentReadScript = new Script(presentReadText);
export const presentWriteScript = new Script(presentWriteText);
export const tickScript = new Script(logText + tickText);

/** What a script returned as a table. */
export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error("a script answered something else");
  return value;
}
