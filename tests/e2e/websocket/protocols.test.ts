import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { signGrant } from "../../../src/access/grants.ts";
import { Policy } from "../../../src/access/policy.ts";
import { Tokens } from "../../../src/access/tokens.ts";
import { openBus } from "../../../src/bus/open.ts";
import { Kind } from "../../../src/channels/kind.ts";
import { resolveTarget } from "../../../src/channels/resolver.ts";
import { Counts } from "../../../src/counts.ts";
import { Hub } from "../../../src/hub/hub.ts";
import { Log } from "../../../src/log.ts";
import { EncodedFanOut } from "../../../src/protocols/protocol.ts";
import { RefusalLog } from "../../../src/sessions/refusal-log.ts";
import { Registry } from "../../../src/sessions/registry.ts";
import { Session } from "../../../src/sessions/session.ts";
import { NativeTopics, socketHandler, WebSocketTransport } from "../../../src/sessions/transports/websocket.ts";
import { Client } from "../../support/client.ts";
import { waitFor } from "../../support/wait.ts";
import { kinds, ManyEncoder, ManyProtocol, SECRET, type Order } from "./many-protocol.ts";

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
    await hears(client, { channel: "granted:1", refused: "forbidden" });
    const grant = { channel: "granted:1", publish: true, expiresMs: Date.now() + 4000 };
    const { expiresMs } = grant;
    order(client, { subscribe: "granted/1", grant: { expiresMs, signature: signGrant(grant, "somebody else", SECRET) } });
    await waitFor("the second refusal", () => heard(client).filter((one) => Bun.deepMatch({ refused: "forbidden" }, one)).length === 2);
    order(client, { subscribe: "granted/1", grant: { expiresMs, signature: signGrant(grant, `s${ids}`, SECRET) } });
    await hears(client, { channel: "granted:1", joined: null });
    order(client, { publish: "granted:1", text: "allowed" });
    await hears(client, { channel: "granted:1", text: "allowed" });
    await hears(client, { channel: "granted:1", ended: "token-expired" });
    expect(client.closed).toBe(false);
  });

  test("subscribes once to a channel, however often it is asked, and can call a join off", async () => {
    const client = await open();
    for (let index = 0; index < 3; index += 1) order(client, { subscribe: "plain/1" });
    await hears(client, { joined: null });
    const joins = (): number => heard(client).filter((one) => "joined" in Object(one)).length;
    const before = joins();
    order(client, { subscribe: "plain/1" });
    await waitFor("the confirmation", () => joins() === before + 1);
    order(client, { publish: "plain:1", text: "once" });
    await hears(client, { text: "once" });
    expect((await hub.bus.presence?.members("plain:1"))?.count).toBe(1);
    order(client, { unsubscribe: "plain:1" });
    const other = await open();
    order(other, { subscribe: "kept/1" });
    await joined(other, "kept:1");
    hub.lost(shardOf("kept:1"));
    order(client, { subscribe: "kept/1" });
    order(client, { unsubscribe: "kept:1" });
    order(client, { subscribe: "plain/2" });
    await waitFor("the last join", () => heard(client).some((one) => Bun.deepMatch({ channel: "plain:2", joined: null }, one)));
    hub.restored(shardOf("kept:1"));
    order(other, { publish: "kept:1", text: "it is back" });
    await hears(other, { text: "it is back" });
    expect(heard(client).filter((one) => Object(one).channel === "kept:1")).toEqual([]);
    expect((await hub.bus.presence?.members("plain:1"))?.count).toBe(0);
    order(other, { unsubscribe: "kept:1" });
    await waitFor("the channels to be given back", () => hub.channels === 1);
  });

  test("acknowledges each message, or says why it was not published", async () => {
    const client = await open();
    order(client, { subscribe: "plain/1" });
    await hears(client, { joined: null });
    order(client, { publish: "plain:1", text: "x", ack: "a" });
    await hears(client, { ack: "a", confirmed: true });
    hub.lost(shardOf("plain:1"));
    hub.reload([new Kind({ path: "other" }), new Kind({ path: "plain/{x}", name: "elsewhere:{x}" })]);
    order(client, { publish: "plain:1", text: "y", ack: "b" });
    await hears(client, { ack: "b", refused: "gap" });
    hub.restored(shardOf("plain:1"));
    await hears(client, { channel: "plain:1", ended: "gap" });
  });

  test("closes a client that asks and does not read", async () => {
    const client = await open();
    client.pause();
    for (let index = 0; index < 1000; index += 1) order(client, { answer: 20_000 });
    await waitFor("it to be found", () => counts.slowConsumers === 1);
    client.resume();
    expect(await client.receiveClose()).toBe(1013);
  });

  test("that fails when a subscription ends costs its own session only", async () => {
    const [faulty, other] = [await open(), await open()];
    for (const client of [faulty, other]) order(client, { subscribe: "plain/1" });
    for (const client of [faulty, other]) await hears(client, { joined: null });
    order(faulty, { fault: true });
    await waitFor("the order", () => heard(faulty).length === 2 || heard(other).some((one) => Object(one).join !== undefined));
    hub.lost(shardOf("plain:1"));
    hub.restored(shardOf("plain:1"));
    expect(await faulty.receiveClose()).toBe(1011);
    await hears(other, { ended: "gap" });
    expect(other.closed).toBe(false);
  });
});
