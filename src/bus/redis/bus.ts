import { Problem } from "../../errors.ts";
import { describeError } from "../../log.ts";
import type { Message } from "../../message.ts";
import type { Retention } from "../../position.ts";
import type { Bus, BusListener, BusOptions, OpenBus } from "../bus.ts";
import type { Sender } from "../publisher.ts";
import type { History, Page, ReadFrom } from "../history.ts";
import { OutboxTotal } from "../outbox-bounds.ts";
import type { Member, Members, Presence } from "../presence.ts";
import type { Tick, Ticks } from "../ticks.ts";
import { keptMs } from "./append-call.ts";
import type { ShardContext } from "./context.ts";
import { encodeEntry } from "./frame.ts";
import { tickScript } from "./scripts.ts";
import { RedisShard } from "./shard.ts";
import { topologyOf, type Topology } from "./topology.ts";

const OPENING_MS = 3000;

export const openRedisBus: OpenBus = (options, listener) => openRedisBusOn(topologyOf(options.url), options, listener);

/** See {@link OpenBus}; `options.url` does not count. */
export async function openRedisBusOn(topology: Topology, options: BusOptions, listener: BusListener): Promise<Bus> {
  const bus = new RedisBus(topology, options, listener);
  await bus.open();
  return bus;
}

/** Redis pub/sub, with logs, presence and ticks in scripts. Routes each channel to its shard, which does everything. */
class RedisBus implements Bus, History, Presence, Ticks {
  readonly history = this;
  readonly presence = this;
  readonly ticks = this;
  readonly #topology: Topology;
  readonly #shards: readonly RedisShard[];
  readonly #total: OutboxTotal;

  constructor(topology: Topology, { prefix, limits, counts, log }: BusOptions, listener: BusListener) {
    this.#topology = topology;
    this.#total = new OutboxTotal(limits);
    const shared = { prefix, instance: instanceName(), total: this.#total, counts, log };
    this.#shards = topology.shards.map(
      (address, index) => new RedisShard(address, shared, (channel) => topology.indexOf(channel) === index, listener),
    );
  }

  /** Resolves as {@link OpenBus} says. */
  async open(): Promise<void> {
    const opened = Promise.all(this.#shards.map((shard) => shard.open()));
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, OPENING_MS);
    await Promise.race([opened, late]);
    clearTimeout(timer);
  }

  get waiting(): number {
    return this.#total.messages;
  }

  ready(channel?: string): boolean {
    return channel === undefined ? this.#shards.every((shard) => shard.ready()) : this.#shardOf(channel).ready(channel);
  }

  subscribe(channel: string): Promise<void> | undefined {
    return this.#shardOf(channel).context.subscriptions.subscribe(channel);
  }

  unsubscribe(channel: string): void {
    this.#shardOf(channel).context.subscriptions.unsubscribe(channel);
  }

  publish(channel: string, message: Message, sender: Sender): void {
    this.#shardOf(channel).publish(channel, message, sender);
  }

  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
    this.#shardOf(channel).append(channel, message, retention, sender, key);
  }

  read(channel: string, retention: Retention, from: ReadFrom): Promise<Page> {
    return this.#shardOf(channel).logs.read(channel, retention, from);
  }

  renew(channels: readonly string[]): void {
    for (const shard of this.#shards) {
      const own = channels.filter((channel) => shard.has(channel));
      if (own.length > 0) shard.logs.renew(own);
    }
  }

  join(channel: string, member: Member | null, announce: boolean): void {
    this.#shardOf(channel).join(channel, member, announce);
  }

  leave(channel: string, member: Member | null, announce: boolean): void {
    this.#shardOf(channel).leave(channel, member, announce);
  }

  members(channel: string): Promise<Members> {
    return this.#shardOf(channel).presence.members(channel);
  }

  claim(tick: Tick): Promise<boolean> {
    return claimTick(this.#shardOf(tick.channel).context, tick);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.settled()));
  }

  close(): void {
    for (const shard of this.#shards) shard.close();
  }

  #shardOf(channel: string): RedisShard {
    const shard = this.#shards[this.#topology.indexOf(channel)];
    if (shard === undefined) throw new Error(`no shard serves ${channel}`);
    return shard;
  }
}

/** 8 letters and digits that no other instance has. */
function instanceName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => (byte % 36).toString(36)).join("");
}

const TICK_TTL_MS = 24 * 3600 * 1000;

/** Claims a tick in Redis, see lua/tick.lua and `Ticks.claim`. */
export async function claimTick(context: ShardContext, tick: Tick): Promise<boolean> {
  if (!context.ready) throw new Problem("bus-away", "The bus is away.");
  const { schedule, channel, retention, dueMs, periodMs, text } = tick;
  const keys = context.keys(channel);
  const expected = context.losses.expectedByAppend(channel);
  const claim = [dueMs, periodMs, TICK_TTL_MS, context.nameOf(channel), context.freshEpoch(), ...expected];
  try {
    const answer =
      retention === undefined
        ? await context.publisher.run(tickScript, [keys.tick(schedule)], [...claim, 0, 0, text])
        : await context.publisher.run(
            tickScript,
            [keys.tick(schedule), keys.head, keys.log],
            [...claim, retention.size, keptMs(retention), encodeEntry(text)],
          );
    return answer === 1;
  } catch (error) {
    throw new Problem("not-confirmed", `The bus did not confirm the tick: ${describeError(error)}`);
  }
}
