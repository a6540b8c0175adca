import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Redis } from "ioredis";
import type { Bus } from "../../src/bus/bus.ts";
import { openBus } from "../../src/bus/open.ts";
import type { Presence } from "../../src/bus/presence.ts";
import { Counts } from "../../src/counts.ts";
import { Log } from "../../src/log.ts";
import { Proxy } from "../support/proxy.ts";
import { RedisServer } from "../support/redis.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

// Longer than a killed instance is remembered.
setDefaultTimeout(60_000);

const limits = { publishQueue: 1000, publishQueueBytes: 1 << 20, publishTimeoutMs: 5000 };
const CHANNEL = "rooms:{a}";

/** What becomes of members in Redis when instances, connections or answers are lost. */
describe("presence in Redis", () => {
  let redis: RedisServer;
  let admin: Redis;
  const opened: Bus[] = [];
  const proxies: Proxy[] = [];
  const children: Bun.Subprocess[] = [];

  beforeAll(async () => {
    redis = await RedisServer.start();
    admin = redis.client();
  });
  afterEach(async () => {
    for (const bus of opened.splice(0)) bus.close();
    for (const proxy of proxies.splice(0)) proxy.stop();
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await admin.flushall();
  });
  afterAll(() => redis.stop());

  interface Opened {
    readonly bus: Bus;
    readonly presence: Presence;
    /** What was reported. */
    readonly reports: string[];
  }

  async function open(url = redis.url): Promise<Opened> {
    const reports: string[] = [];
    const bus = await openBus(
      { url, prefix: "", limits, counts: new Counts(), log: new Log("error", "json", () => 0) },
      {
        deliver: (_, message) => reports.push(String(message)),
        deliverEntries: () => undefined,
        deliverPresence: (_, { change, member }) => reports.push(`${change} ${member.id}${member.data ?? ""}`),
        lost: () => undefined,
        restored: () => undefined,
      },
    );
    opened.push(bus);
    await bus.subscribe(CHANNEL);
    if (bus.presence === undefined) throw new Error("no presence");
    return { bus, presence: bus.presence, reports };
  }

  /** Another process with an instance on which some members are. Its SIGKILL is that of an instance. */
  async function startChild(...ids: string[]): Promise<Bun.Subprocess> {
    const script = `
      import { openBus } from ${JSON.stringify(`${import.meta.dir}/../../src/bus/open.ts`)};
      import { Counts } from ${JSON.stringify(`${import.meta.dir}/../../src/counts.ts`)};
      import { Log } from ${JSON.stringify(`${import.meta.dir}/../../src/log.ts`)};
      const none = () => undefined;
      const listener = { deliver: none, deliverEntries: none, deliverPresence: none, lost: none, restored: none };
      const options = { url: ${JSON.stringify(redis.url)}, prefix: "", limits: ${JSON.stringify(limits)} };
      const bus = await openBus({ ...options, counts: new Counts(), log: new Log("error", "json", none) }, listener);
      for (const id of ${JSON.stringify(ids)}) bus.presence.join(${JSON.stringify(CHANNEL)}, { id, data: '{"of":"child"}' }, true);
      bus.presence.join(${JSON.stringify(CHANNEL)}, { id: "quiet" }, false);
      await bus.presence.members(${JSON.stringify(CHANNEL)});
      console.log("joined");
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
    children.push(child);
    for await (const line of child.stdout) if (Buffer.from(line).includes("joined")) break;
    return child;
  }

  /** Waits until everything that was said has arrived. */
  async function settle(...instances: Opened[]): Promise<void> {
    for (const { presence } of instances) await presence.members(CHANNEL);
    for (const { bus } of instances) await bus.settled();
  }

  async function kill(child: Bun.Subprocess): Promise<void> {
    child.kill("SIGKILL");
    await child.exited;
  }

  const REGISTRATIONS = "lockstep:{rooms:%7Ba%7D}:instances";

  /** Lets registrations run out, as after 15 s without a renewal; all but that of an instance that was there for long. */
  async function expire(survivor = ""): Promise<void> {
    for (const instance of await admin.zrange(REGISTRATIONS, "0", "-1")) {
      if (instance === survivor) await admin.hset(`lockstep:{rooms:%7Ba%7D}:present:${instance}`, "r", 1);
      else await admin.zadd(REGISTRATIONS, "1", instance);
    }
  }

  test("reports the leaves of a killed instance within 30 s, each once, however many others are there", async () => {
    const [one, two] = [await open(), await open()];
    for (const { presence } of [one, two]) presence.join(CHANNEL, null, true);
    const child = await startChild("alice", "bob", "carol");
    // Carol is elsewhere, too.
    two.presence.join(CHANNEL, { id: "carol" }, true);
    await settle(one, two);
    await kill(child);
    const killedMs = Date.now();
    // Bob comes back in time.
    one.presence.join(CHANNEL, { id: "bob" }, true);
    await waitFor("alice to leave", () => one.reports.includes('leave alice{"of":"child"}'), 35_000);
    expect(Date.now() - killedMs).toBeLessThan(30_000);
    // Longer than all others need to look again.
    await whileNothingHappens(7000);
    await settle(one, two);
    for (const { reports } of [one, two]) {
      expect(reports.toSorted()).toEqual([
        ...["alice", "bob", "carol"].map((id) => `join ${id}{"of":"child"}`),
        'leave alice{"of":"child"}',
      ]);
    }
    const { count, members } = await one.presence.members(CHANNEL);
    expect([count, [...members.keys()].toSorted()]).toEqual([4, ["bob", "carol"]]);
  });

  test("takes a killed instance away once, whoever comes first, and never one that is alive", async () => {
    const [one, two] = [await open(), await open()];
    one.presence.join(CHANNEL, null, true);
    await settle(one);
    const [survivor] = await admin.zrange(REGISTRATIONS, "0", "-1");
    two.presence.join(CHANNEL, { id: "two" }, true);
    const child = await startChild("alice");
    await waitFor("both joins", () => one.reports.length === 2);
    await kill(child);
    await expire(survivor);
    for (const { presence } of [one, two, one]) await presence.members(CHANNEL);
    await waitFor("the leaves", () => one.reports.length >= 4);
    // Two was alive, and says so: it was taken for dead only because its registration was made to look old.
    two.presence.join(CHANNEL, null, true);
    await waitFor("it to come back", () => one.reports.length >= 5);
    await settle(one, two);
    expect(one.reports.slice(2).toSorted()).toEqual(["join two", 'leave alice{"of":"child"}', "leave two"]);
    const keys = await admin.keys("lockstep:*:present:*");
    expect(keys.length).toBe(2);
  });

  test("does not take all for dead after an outage of Redis, when everybody's registration has run out", async () => {
    const [one, two] = [await open(), await open()];
    for (const [index, { presence }] of [one, two].entries()) presence.join(CHANNEL, { id: `m${index}` }, true);
    await waitFor("both joins", () => one.reports.length === 2);
    await expire();
    for (const { presence } of [one, two]) presence.join(CHANNEL, null, true);
    await settle(one, two);
    for (const { presence } of [one, two]) presence.leave(CHANNEL, null, true);
    await settle(one, two);
    expect(one.reports.toSorted()).toEqual(["join m0", "join m1"]);
    expect((await one.presence.members(CHANNEL)).count).toBe(2);
  });

  test("reports once what has to be written again because its answer was lost", async () => {
    const proxy = await Proxy.start(redis.port, 30);
    proxies.push(proxy);
    const witness = await open();
    const far = await open(`redis://127.0.0.1:${proxy.port}`);
    far.presence.join(CHANNEL, { id: "alice" }, true);
    await waitFor("the join", () => witness.reports.length === 1);
    // On its way back is the answer.
    proxy.cut();
    await waitFor("the loss to be noticed", () => !far.bus.ready());
    await waitFor("it to be back", () => far.bus.ready());
    far.presence.join(CHANNEL, { id: "bob" }, true);
    await waitFor("another join", () => witness.reports.length === 2);
    proxy.cut();
    far.presence.leave(CHANNEL, { id: "alice" }, true);
    await waitFor("the leave", () => witness.reports.length === 3);
    await settle(witness, far);
    expect(witness.reports).toEqual(["join alice", "join bob", "leave alice"]);
    expect([...(await witness.presence.members(CHANNEL)).members]).toEqual([["bob", { connections: 1 }]]);
  });

  test("says anew who is there when Redis has forgotten it", async () => {
    const one = await open();
    one.presence.join(CHANNEL, { id: "alice" }, false);
    one.presence.join(CHANNEL, { id: "bob", data: "1" }, true);
    await settle(one);
    await admin.flushall();
    one.presence.join(CHANNEL, null, false);
    await waitFor("it to be said", async () => (await one.presence.members(CHANNEL)).count === 3);
    expect((await one.presence.members(CHANNEL)).members).toEqual(
      new Map([
        ["alice", { connections: 1 }],
        ["bob", { connections: 1, data: "1" }],
      ]),
    );
    await settle(one);
    expect(one.reports).toEqual(["join bob1", "join bob1"]);
    one.presence.leave(CHANNEL, { id: "bob" }, true);
    await waitFor("the leave", () => one.reports.length === 3);
    expect(one.reports.at(-1)).toBe("leave bob1");
  });

  test("leaves nothing behind but what expires, and publishes nothing where nobody is announced", async () => {
    const one = await open();
    const heard: string[] = [];
    const reader = redis.client();
    reader.on("message", (_: string, message: string) => heard.push(message));
    await reader.subscribe(CHANNEL);
    one.presence.join(CHANNEL, { id: "alice" }, false);
    await settle(one);
    one.presence.leave(CHANNEL, { id: "alice" }, false);
    await settle(one);
    await admin.publish(CHANNEL, "marker");
    await waitFor("the marker", () => heard.includes("marker"));
    expect(heard).toEqual(["marker"]);
    for (const key of await admin.keys("*")) expect(await admin.pttl(key)).toBeWithin(1, 16_000);
    expect((await one.presence.members(CHANNEL)).count).toBe(0);
  });

  test("writes nothing of a change that may not be published, and reports it when it may", async () => {
    await admin.acl("SETUSER", "some", "on", ">pw", "~lockstep:*", "+@all", "resetchannels", `&${CHANNEL}`);
    const one = await open(redis.url.replace("//", "//some:pw@"));
    await admin.acl("SETUSER", "some", "resetchannels", "&other");
    const denied = await open();
    one.presence.join(CHANNEL, { id: "alice" }, true);
    await whileNothingHappens(100);
    expect((await denied.presence.members(CHANNEL)).count).toBe(0);
    await admin.acl("SETUSER", "some", "allchannels");
    one.presence.join(CHANNEL, null, true);
    await waitFor("the join", () => denied.reports.includes("join alice"));
    expect((await denied.presence.members(CHANNEL)).count).toBe(2);
  });

  test("a write that a network held back does not undo later ones", async () => {
    const one = await open();
    one.presence.join(CHANNEL, { id: "alice" }, true);
    await settle(one);
    const monitor = await redis.client().monitor();
    const writes: string[][] = [];
    monitor.on("monitor", (_: string, words: string[]) => words[0]?.toUpperCase() === "EVALSHA" && words.length > 12 && writes.push(words));
    one.presence.join(CHANNEL, { id: "bob" }, true);
    await waitFor("bob's join", () => one.reports.length === 2 && writes.length > 0);
    one.presence.leave(CHANNEL, { id: "bob" }, true);
    await waitFor("bob's leave", () => one.reports.length === 3);
    const [name = "", ...words] = writes[0] ?? [];
    await admin.call(name, ...words);
    await settle(one);
    monitor.disconnect();
    expect(one.reports).toEqual(["join alice", "join bob", "leave bob"]);
    expect([...(await one.presence.members(CHANNEL)).members.keys()]).toEqual(["alice"]);
  });
});
