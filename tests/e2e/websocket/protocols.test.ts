import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { isGranted, signGrant, type Grant } from "../../../src/access/grants.ts";
import { Policy } from "../../../src/access/policy.ts";
import { ANONYMOUS } from "../../../src/access/claims.ts";
import { Tokens } from "../../../src/access/tokens.ts";
import { openBus } from "../../../src/bus/open.ts";
import type { PresenceChange } from "../../../src/bus/presence.ts";
import { Kind, type Target } from "../../../src/channels/kind.ts";
import { resolveTarget } from "../../../src/channels/resolver.ts";
import { Counts } from "../../../src/counts.ts";
import { closeCode, type ClosingFaultName } from "../../../src/errors.ts";
import { Hub } from "../../../src/hub/hub.ts";
import type { FanOut, Subscription } from "../../../src/hub/subscription.ts";
import { Log } from "../../../src/log.ts";
import type { Message } from "../../../src/message.ts";
import { formatPosition, parsePosition } from "../../../src/position.ts";
import { type Encoder, type Protocol, EncodedFanOut } from "../../../src/protocols/protocol.ts";
import { RefusalLog } from "../../../src/sessions/refusal-log.ts";
import { Registry } from "../../../src/sessions/registry.ts";
import { Session } from "../../../src/sessions/session.ts";
import { NativeTopics, socketHandler, WebSocketTransport } from "../../../src/sessions/transports/websocket.ts";
import { Client } from "../../support/client.ts";
import { waitFor } from "../../support/wait.ts";

/*
 * A third protocol, which only this test speaks: many channels on one WebSocket, each frame names its channel. It proves that a protocol
 * needs nothing but the contracts in src/protocols/protocol.ts.
 */

const SECRET = "the secret of the backend";
const kinds = [
  new Kind({ path: "plain/{x}", presence: true, announces_members: true }),
  new Kind({ path: "kept/{x}", history: { size: 10, ttl: "1m" } }),
  new Kind({ path: "granted/{x}", access: "token", publish: "token" }),
];

interface Order {
  readonly subscribe?: string;
  readonly unsubscribe?: string;
  readonly publish?: string;
  readonly text?: string;
  readonly since?: string;
  readonly grant?: { readonly expiresMs: number; readonly signature: string };
}

/** Counts frames that were encoded. */
class ManyEncoder implements Encoder {
  readonly name = "many";
  encoded = 0;

  encode(channel: string, message: Message, epoch: string, offset: number): Message {
    this.encoded += 1;
    return JSON.stringify({ channel, text: String(message), ...(epoch === "" ? {} : { id: formatPosition(epoch, offset) }) });
  }

  encodePresence(channel: string, { change, member }: PresenceChange): Message {
    return JSON.stringify({ channel, [change]: member.id });
  }
}

/** One object a session: it subscribes for it. */
class ManyProtocol implements Protocol {
  readonly encoder: Encoder;
  readonly fanOut: FanOut;
  readonly #id: string;
  readonly #policy: Policy;

  constructor(encoder: Encoder, fanOut: FanOut, id: string, policy: Policy) {
    this.encoder = encoder;
    this.fanOut = fanOut;
    this.#id = id;
    this.#policy = policy;
  }

  receive(session: Session, frame: Message): void {
    const order: Order = JSON.parse(String(frame));
    const named = session.subscriptions.find(({ channel }) => channel.name === (order.unsubscribe ?? order.publish));
    if (order.subscribe !== undefined) void this.#subscribe(session, order.subscribe, order);
    else if (order.unsubscribe !== undefined && named !== undefined) session.unsubscribe(named);
    else if (order.publish !== undefined && named !== undefined) session.publish(named, order.text ?? "");
  }

  joined(session: Session, { channel, position }: Subscription): void {
    session.send(JSON.stringify({ channel: channel.name, joined: position }));
  }

  gapPolicyOf(): "end" {
    return "end";
  }

  gap(): void {
    throw new Error("gaps end subscriptions");
  }

  ended(session: Session, subscription: Subscription, fault: ClosingFaultName): void {
    session.unsubscribe(subscription);
    session.send(JSON.stringify({ channel: subscription.channel.name, ended: fault }));
  }

  closeFrame(_: Session, fault: ClosingFaultName): { code: number } {
    return { code: closeCode(fault) };
  }

  async #subscribe(session: Session, path: string, { since, grant }: Order): Promise<void> {
    const target = resolveTarget(kinds, path.split("/"));
    if (target === undefined) throw new Error("no such channel");
    const granted: Grant | undefined = grant && { channel: target.channel, publish: true, expiresMs: grant.expiresMs };
    const isFine = granted !== undefined && isGranted(granted, grant?.signature ?? "", this.#id, SECRET);
    const from = parsePosition(since ?? "");
    try {
      await session.subscribe(target, from && { since: from }, () => isFine || this.#requireJoin(target), isFine ? granted : undefined);
    } catch {
      session.send(JSON.stringify({ channel: target.channel, refused: true }));
    }
  }

  #requireJoin(target: Target): boolean {
    this.#policy.requireJoin(ANONYMOUS, target);
    return true;
  }
}

describe("a protocol with many channels on one socket", () => {
  const limits = {
    publishQueue: 100,
    publishQueueBytes: 1e6,
    publishTimeoutMs: 1000,
    maxMessageBytes: 1e6,
    messagesPerSecond: 0,
    slowConsumerBytes: 1e6,
    maxConnections: 0,
    maxConnectionsPerIp: 0,
  };
  const log = new Log("error", "json", () => undefined);
  let hub: Hub;
  let registry: Registry;
  let server: Bun.Server<WebSocketTransport>;
  let counts: Counts;
  let encoder: ManyEncoder;
  const clients: Client[] = [];
  let ids = 0;

  beforeEach(async () => {
    counts = new Counts();
    encoder = new ManyEncoder();
    hub = await Hub.open({ openBus: (listener) => openBus({ url: "", prefix: "", limits, counts, log }, listener), limits, counts, log });
    registry = new Registry(limits, 25_000);
    const topics = new NativeTopics();
    const fanOut = new EncodedFanOut(encoder, topics);
    const tokens = new Tokens({ jwtSecret: "", publicKey: undefined, jwksUrl: "", apiKey: "" }, log);
    const policy = new Policy(tokens, "key");
    const context = { hub, registry, policy, limits, counts, refusals: new RefusalLog(log), log };
    server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      websocket: socketHandler(limits.maxMessageBytes),
      fetch: (request, bun) => {
        const protocol = new ManyProtocol(encoder, fanOut, `s${(ids += 1)}`, policy);
        const address = registry.admit("here");
        const session = new Session(context, {
          address,
          principal: { by: "token", verifier: tokens, subject: `u${ids}`, expiresMs: Infinity, subscribe: [], publish: [] },
          protocol,
        });
        const transport = new WebSocketTransport(session, registry.pingIntervalMs);
        if (!bun.upgrade(request, { data: transport })) return new Response("no", { status: 400 });
        session.connect(transport);
        return undefined;
      },
    });
    topics.use(server);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await server.stop(true);
    registry.close();
    hub.close();
  });

  const open = async (): Promise<Client> => {
    const client = await Client.join(server.port ?? 0, "/many");
    clients.push(client);
    return client;
  };
  const order = (client: Client, what: Order): void => client.send(JSON.stringify(what));
  const heard = (client: Client): unknown[] => client.messages.map((message): unknown => JSON.parse(String(message)));
  const hears = (client: Client, what: object): Promise<void> =>
    waitFor(JSON.stringify(what), () => heard(client).some((one) => Bun.deepMatch(what, one)));
  const joined = (client: Client, channel: string): Promise<void> =>
    waitFor(`a join of ${channel}`, () => heard(client).some((one) => Object(one).channel === channel && "joined" in Object(one)));
  const shardOf = (name: string): { name: string; has(channel: string): boolean } => ({ name, has: (channel) => channel === name });

  test("hears each channel by its name, encoded once for all sockets, and leaves one while it stays on the others", async () => {
    const [a, b] = [await open(), await open()];
    for (const client of [a, b]) for (const path of ["plain/1", "plain/2", "kept/1"]) order(client, { subscribe: path });
    for (const client of [a, b]) await joined(client, "kept:1");
    encoder.encoded = 0;
    order(a, { publish: "plain:1", text: "one" });
    order(a, { publish: "kept:1", text: "two" });
    for (const client of [a, b]) {
      await hears(client, { channel: "plain:1", text: "one" });
      await hears(client, { channel: "kept:1", text: "two" });
    }
    expect(encoder.encoded).toBe(2);
    order(b, { unsubscribe: "plain:1" });
    order(b, { publish: "plain:1", text: "not mine any more" });
    order(b, { publish: "plain:2", text: "still here" });
    for (const client of [a, b]) await hears(client, { channel: "plain:2", text: "still here" });
    order(a, { publish: "plain:1", text: "without you" });
    await hears(a, { channel: "plain:1", text: "without you" });
    expect(heard(b)).not.toContainEqual({ channel: "plain:1", text: "without you" });
    expect(heard(a)).not.toContainEqual({ channel: "plain:1", text: "not mine any more" });
  });

  test("loses one subscription by a gap, with nothing after it, and keeps the others", async () => {
    const client = await open();
    for (const path of ["plain/1", "plain/2", "kept/1"]) order(client, { subscribe: path });
    await joined(client, "kept:1");
    hub.lost(shardOf("plain:1"));
    const target = resolveTarget(kinds, ["plain", "1"]);
    if (target !== undefined) hub.publish(target, "in the gap", { confirmed: () => undefined, refused: () => undefined, broken: false });
    hub.restored(shardOf("plain:1"));
    await hears(client, { channel: "plain:1", ended: "gap" });
    order(client, { publish: "plain:2", text: "goes on" });
    await hears(client, { channel: "plain:2", text: "goes on" });
    expect(heard(client)).not.toContainEqual({ channel: "plain:1", text: "in the gap" });
    expect(client.closed).toBe(false);
    expect(counts.gaps).toBe(1);
    order(client, { subscribe: "plain/1" });
    await waitFor(
      "the second join",
      () => heard(client).filter((one) => Bun.deepMatch({ channel: "plain:1", joined: null }, one)).length === 2,
    );
  });

  test("replays what a subscription missed before what is live", async () => {
    const client = await open();
    order(client, { subscribe: "kept/1" });
    await joined(client, "kept:1");
    for (const text of ["a", "b", "c"]) order(client, { publish: "kept:1", text });
    await hears(client, { text: "c" });
    const first = heard(client).find((one) => Bun.deepMatch({ text: "a" }, one));
    const other = await open();
    order(other, { subscribe: "kept/1", since: String(Object(first).id) });
    await hears(other, { text: "c" });
    expect(heard(other).map((one) => Object(one).text)).toEqual([undefined, "b", "c"]);
  });

  test("hears of members that come and go, once each", async () => {
    const [a, b] = [await open(), await open()];
    order(a, { subscribe: "plain/1" });
    await hears(a, { channel: "plain:1", joined: null });
    order(b, { subscribe: "plain/1" });
    await hears(a, { channel: "plain:1", join: `u${ids}` });
    b.destroy();
    await hears(a, { channel: "plain:1", leave: `u${ids}` });
    expect(heard(a).filter((one) => Object(one).join === `u${ids}` || Object(one).leave === `u${ids}`)).toHaveLength(2);
  });

  test("takes a right that comes with a subscription, from the session that it was signed for, until it expires", async () => {
    const client = await open();
    order(client, { subscribe: "granted/1" });
    await hears(client, { channel: "granted:1", refused: true });
    const grant = { channel: "granted:1", publish: true, expiresMs: Date.now() + 4000 };
    const { expiresMs } = grant;
    order(client, { subscribe: "granted/1", grant: { expiresMs, signature: signGrant(grant, "somebody else", SECRET) } });
    await waitFor("the second refusal", () => heard(client).filter((one) => Bun.deepMatch({ refused: true }, one)).length === 2);
    order(client, { subscribe: "granted/1", grant: { expiresMs, signature: signGrant(grant, `s${ids}`, SECRET) } });
    await hears(client, { channel: "granted:1", joined: null });
    order(client, { publish: "granted:1", text: "allowed" });
    await hears(client, { channel: "granted:1", text: "allowed" });
    await hears(client, { channel: "granted:1", ended: "token-expired" });
    expect(client.closed).toBe(false);
  });
});
