import { Problem } from "../errors.ts";
import { describeError, type Log } from "../log.ts";
import type { Presence, Present } from "./bus.ts";
import { ChannelKeys } from "./channel-keys.ts";
import type { RedisLink } from "./redis-link.ts";
import { listOf, presentReadScript, presentWriteScript } from "./redis-scripts.ts";
import { Roster } from "./roster.ts";

/** What an instance said is believed for so long; it says it again in time, and a killed one is forgotten. */
const TTL_MS = 25_000;
const RENEW_MS = 8000;

/** What is to be said of a channel: everything, or what changed of some members. */
interface Change {
  all: boolean;
  readonly members: Set<string>;
}

export interface RedisPresenceOptions {
  readonly link: RedisLink;
  readonly prefix: string;
  /** Names this instance among all. */
  readonly instance: string;
  readonly log: Log;
}

/** Presence in Redis: for each channel and instance one hash with a time to live, which the instance renews, or rebuilds where it is gone. */
export class RedisPresence implements Presence {
  readonly #options: RedisPresenceOptions;
  readonly #roster = new Roster();
  readonly #timer = setInterval(() => this.renew(), RENEW_MS);
  #changes = new Map<string, Change>();
  #flushing = false;

  constructor(options: RedisPresenceOptions) {
    this.#options = options;
  }

  enter(channel: string, member: string | null): void {
    const first = this.#roster.of(channel).count === 0;
    this.#roster.enter(channel, member);
    this.#changed(channel, first, member);
  }

  leave(channel: string, member: string | null): void {
    this.#roster.leave(channel, member);
    this.#changed(channel, false, member);
  }

  async present(channel: string): Promise<Present> {
    const { link, log } = this.#options;
    // What this instance knows stands before the question.
    this.flush();
    const keys = this.#keys(channel);
    try {
      if (!link.up) throw new Error("not connected");
      return presentOf(await presentReadScript.run(link.client, [keys.instances], [keys.present("")]));
    } catch (error) {
      log.debug("reading presence failed", { channel, error: describeError(error) });
      throw new Problem("bus-away", "The bus is away.");
    }
  }

  /** Says again who is here. */
  renew(): void {
    for (const channel of this.#roster.channels) this.#change(channel);
    this.flush();
  }

  flush(): void {
    if (!this.#options.link.up) return;
    const changes = this.#changes;
    this.#changes = new Map();
    for (const [channel, change] of changes) void this.#write(channel, change);
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
  }

  #keys(channel: string): ChannelKeys {
    return new ChannelKeys(this.#options.prefix, channel);
  }

  #changed(channel: string, all: boolean, member: string | null): void {
    const change = this.#change(channel);
    change.all ||= all;
    if (member !== null) change.members.add(member);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  #change(channel: string): Change {
    let change = this.#changes.get(channel);
    if (change === undefined) {
      change = { all: false, members: new Set() };
      this.#changes.set(channel, change);
    }
    return change;
  }

  async #write(channel: string, { all, members: changed }: Change): Promise<void> {
    const { link, instance, log } = this.#options;
    const keys = this.#keys(channel);
    const { count, members } = this.#roster.of(channel);
    const said = Array.from(all ? members.keys() : changed, (member) => [member, members.get(member) ?? 0]).flat();
    let known = false;
    try {
      const args = [instance, TTL_MS, all ? 1 : 0, count, ...said];
      known = (await presentWriteScript.run(link.client, [keys.present(instance), keys.instances], args)) === 1;
    } catch (error) {
      log.debug("writing presence failed", { channel, error: describeError(error) });
      this.#change(channel).all = true;
      return;
    }
    if (!known) this.#changed(channel, true, null);
  }
}

function presentOf(answer: unknown): Present {
  let count = 0;
  const members = new Map<string, number>();
  for (const fields of listOf(answer)) {
    const hash = listOf(fields).map(String);
    for (let index = 0; index + 1 < hash.length; index += 2) {
      const field = hash[index] ?? "";
      const connections = Number(hash[index + 1]);
      if (field === "n") count += connections;
      else members.set(field.slice(1), (members.get(field.slice(1)) ?? 0) + connections);
    }
  }
  return { count, members };
}
