import appendNextText from "./lua/append-next.lua" with { type: "text" };
import appendRestText from "./lua/append-rest.lua" with { type: "text" };
import logText from "./lua/log.lua" with { type: "text" };
import presenceText from "./lua/presence.lua" with { type: "text" };
import membersText from "./lua/presence-members.lua" with { type: "text" };
import renewPresenceText from "./lua/presence-renew.lua" with { type: "text" };
import writePresenceText from "./lua/presence-write.lua" with { type: "text" };
import readText from "./lua/read.lua" with { type: "text" };
import tickText from "./lua/tick.lua" with { type: "text" };

/** A script that Redis runs whole, with nothing in between. */
export class Script {
  readonly sha: string;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    this.sha = new Bun.CryptoHasher("sha1").update(text).digest("hex");
  }
}

export const appendScript = new Script(appendNextText + logText + appendRestText);
export const readScript = new Script(logText + readText);
export const membersScript = new Script(presenceText + membersText);
export const renewPresenceScript = new Script(renewPresenceText);
export const writePresenceScript = new Script(presenceText + writePresenceText);
export const tickScript = new Script(logText + tickText);

export const scripts: readonly Script[] = [appendScript, readScript, tickScript, membersScript, renewPresenceScript, writePresenceScript];

/** The elements of a table that a script returned. */
export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error("a script answered something else");
  return value;
}
