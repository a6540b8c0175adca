import { Problem } from "../../errors.ts";
import { describeError } from "../../log.ts";
import { MemberCounts, presentOf } from "../member-counts.ts";
import type { Member, Members } from "../presence.ts";
import type { ShardContext } from "./context.ts";
import { listOf, membersScript, writePresenceScript } from "./scripts.ts";

/*
 * A killed instance's members are gone 15 s after its last renewal, and the next instance that touches the channel reports their leaves:
 * after 20 s, or after 26 s if it has only just come, see GRACE in lua/presence.lua. An instance that comes later never saw them.
 */
const TTL_MS = 15_000;
const RENEW_MS = 5000;

/** The part of a channel's members that has to be written: all, or some. */
interface Unwritten {
  all: boolean;
  readonly ids: Set<string>;
}

/**
 * Presence in one Redis: each instance writes, for each channel, who is there through it; see lua/presence.lua. Changes of one turn go
 * out together, and before the messages of that turn.
 */
export class RedisPresence {
  readonly #context: ShardContext;
  readonly #counts = new MemberCounts();
  readonly #timer = setInterval(() => this.renew(), RENEW_MS);
  #unwritten = new Map<string, Unwritten>();
  #sequence = 0;

  constructor(context: ShardContext) {
    this.#context = context;
  }

  /** See `Presence.join`. Written by the next `flush`. */
  join(channel: string, member: Member | null, announce: boolean): void {
    const unwritten = this.#toWrite(channel);
    unwritten.all ||= this.#counts.of(channel).count === 0;
    this.#counts.join(channel, member, announce);
    if (member !== null) unwritten.ids.add(member.id);
  }

  /** See `Presence.leave`. Written by the next `flush`. */
  leave(channel: string, member: Member | null, announce: boolean): void {
    this.#counts.leave(channel, member, announce);
    const unwritten = this.#toWrite(channel);
    if (member !== null) unwritten.ids.add(member.id);
  }

  /** See `Presence.members`. */
  async members(channel: string): Promise<Members> {
    const { publisher, bus } = this.#context;
    // What this instance knows comes before the question.
    this.flush();
    try {
      if (!publisher.up) throw new Error("not connected");
      const { keys, args } = this.#scope(channel);
      return membersOf(await publisher.run(membersScript, keys, args));
    } catch (error) {
      bus.log.debug("reading presence failed", { channel, error: describeError(error) });
      throw new Problem("bus-away", "The bus is away.");
    }
  }

  /** Renews all registrations. */
  renew(): void {
    for (const channel of this.#counts.channels) this.#toWrite(channel);
    this.flush();
  }

  flush(): void {
    if (this.#unwritten.size === 0 || !this.#context.publisher.up) return;
    const unwritten = this.#unwritten;
    this.#unwritten = new Map();
    for (const [channel, { all, ids }] of unwritten) void this.#write(channel, all, ids);
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
  }

  #toWrite(channel: string): Unwritten {
    let unwritten = this.#unwritten.get(channel);
    if (unwritten === undefined) {
      unwritten = { all: false, ids: new Set() };
      this.#unwritten.set(channel, unwritten);
    }
    return unwritten;
  }

  #scope(channel: string): { keys: string[]; args: string[] } {
    const keys = this.#context.keys(channel);
    return {
      keys: [keys.instances, keys.announced],
      args: [keys.present(""), this.#context.nameOf(channel), this.#context.bus.instance],
    };
  }

  async #write(channel: string, all: boolean, ids: ReadonlySet<string>): Promise<void> {
    const { publisher, bus } = this.#context;
    const { keys, args } = this.#scope(channel);
    const { count, members } = this.#counts.of(channel);
    const written = Array.from(all ? members.keys() : ids, (id) => {
      const { connections, announced, data } = members.get(id) ?? { connections: 0, announced: 0, data: undefined };
      return [id, connections, announced, data ?? ""];
    });
    this.#sequence += 1;
    try {
      const own = this.#context.keys(channel).present(bus.instance);
      const words = [...args, this.#sequence, TTL_MS, all ? 1 : 0, count, ...written.flat()];
      if ((await publisher.run(writePresenceScript, [...keys, own], words)) === 1) return;
    } catch (error) {
      // Nobody knows if it was written. The next change or renewal writes everything, and a new connection renews at once.
      bus.log.debug("writing presence failed", { channel, error: describeError(error) });
      this.#toWrite(channel).all = true;
      return;
    }
    // Redis forgot, or others took this instance for dead.
    this.#toWrite(channel).all = true;
    this.flush();
  }
}

function membersOf(answer: unknown): Members {
  let count = 0;
  const connectionsOf = new Map<string, number>();
  const dataOf = new Map<string, string>();
  for (const fields of listOf(answer)) {
    const hash = listOf(fields).map(String);
    for (let index = 0; index + 1 < hash.length; index += 2) {
      const field = hash[index] ?? "";
      const value = hash[index + 1] ?? "";
      if (field === "n") count += Number(value);
      if (!field.startsWith("m")) continue;
      const [, connections, data = ""] = /^(\d+) \d+ (.*)$/s.exec(value) ?? [];
      const id = field.slice(1);
      connectionsOf.set(id, (connectionsOf.get(id) ?? 0) + Number(connections ?? 0));
      if (data !== "") dataOf.set(id, data);
    }
  }
  return { count, members: new Map(Array.from(connectionsOf, ([id, connections]) => [id, presentOf(connections, dataOf.get(id))])) };
}
