import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { RemoteSocket } from "../../../src/remote/socket.ts";
import { buses } from "../../bus/buses.ts";
import { Client } from "../../support/client.ts";
import { executable, run, Server } from "../../support/executable.ts";
import { Instance } from "../../support/instance.ts";
import { Proxy } from "../../support/proxy.ts";
import { freePort, RedisServer } from "../../support/redis.ts";
import { SubscriberProcess } from "../../support/subscriber.ts";
import { API_KEY, SECRET, tokenOf } from "../../support/tokens.ts";
import { waitFor, whileNothingHappens } from "../../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);
// On a busy machine it takes a while, which no test is to be charged with.
beforeAll(() => executable().then(() => undefined));

/** Resolves once somebody more has joined. */
async function joined(instance: { metric: Instance["metric"] }, count: number): Promise<void> {
  await waitFor(`${count} connections`, async () => (await instance.metric("lockstep_connections")) === count);
}

describe.each([...buses])("publish and subscribe on $name", (bus) => {
  let url = "";
  let started: Awaited<ReturnType<(typeof bus)["start"]>>;
  let instance: Instance;

  beforeAll(async () => {
    started = await bus.start();
    instance = await Instance.start({ env: { REDIS_URL: started.url } });
    ({ url } = instance);
  });
  afterAll(async () => {
    await instance.stop();
    await started.stop();
  });

  test("what is published arrives as a line, by either form of the url", async () => {
    const subscriber = await SubscriberProcess.start([`${url}/rooms/both`]);
    await joined(instance, 1);
    const first = await run(["publish", `${url}/rooms/both`, "hello, 世界"]);
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toMatch(/^\{"channel":"rooms:both","id":"[^-"]+-1"\}\n$/);
    expect((await run(["publish", `${url.replace("http", "ws")}/ws/rooms/both`, "--", "-5"])).code).toBe(0);
    expect((await run(["publish", `${url}/rooms/both`, ""])).code).toBe(0);
    expect(await subscriber.receive(3)).toEqual(["hello, 世界", "-5", ""]);
    const [, epoch = ""] = /"id":"([^-]+)-/.exec(first.stdout) ?? [];
    expect(await subscriber.end("SIGTERM")).toBe(0);
    expect(subscriber.notes).toEqual([`lockstep: stopped; --since ${epoch}-3 goes on from here`]);
  });

  test("who stops before a message has come is told where to go on, too", async () => {
    await run(["publish", `${url}/rooms/early`, "before"]);
    const early = await SubscriberProcess.start([`${url}/rooms/early`]);
    // Its own, not one that is about to leave.
    await waitFor("it", async () => (await (await fetch(`${url}/presence/rooms/early`)).text()).includes('"count":1'));
    expect(await early.end("SIGHUP")).toBe(0);
    const since = /--since (\S+-1) goes on/.exec(early.notes.join(" "))?.[1] ?? "";
    expect((await run(["publish", `${url}/rooms/early`, "after"])).code).toBe(0);
    const again = await SubscriberProcess.start([`${url}/rooms/early`, "--since", since]);
    expect(await again.receive(1)).toEqual(["after"]);
    expect(await again.end("SIGTERM")).toBe(0);
  });

  test("a channel without history is written as well, and its messages have no position", async () => {
    const subscriber = await SubscriberProcess.start([`${url}/7`, "--json"]);
    await joined(instance, 1);
    const { stdout } = await run(["publish", `${url}/7`, "测试"]);
    expect(stdout).toBe('{"channel":"ws_example_user_channel_7","id":null}\n');
    expect(await subscriber.receive(1)).toEqual(['{"id":null,"text":"{\\"type\\": \\"user_event\\", \\"data\\": \\"测试\\"}"}']);
    expect([await subscriber.end(), subscriber.notes]).toEqual([0, []]);
  });

  test("standard input is one message, byte for byte: text where it is UTF-8, else binary", async () => {
    const client = await instance.join("rooms/input");
    for (const input of ["two\nlines\n", "", Buffer.from([0xff, 0, 10])]) {
      expect((await run(["publish", `${url}/rooms/input`, "-"], {}, input)).code).toBe(0);
    }
    expect(await client.receive(3)).toEqual(["two\nlines\n", "", Buffer.from([0xff, 0, 10])]);
    client.destroy();
    await joined(instance, 0);
  });

  test("what is no line by itself is JSON, and nothing else can be taken for it", async () => {
    const messages = ["a\nb", "cr\r", "\u001b[2J\u009b", '{"lockstep:text":"forged"}', "tab\tand \u2028", Buffer.from([1, 255])];
    for (const message of messages) await instance.publish("rooms/odd", message, typeof message === "string" ? {} : BINARY);
    const plain = await SubscriberProcess.start(["--recent", "10", `${url}/rooms/odd`]);
    expect(await plain.receive(6)).toEqual([
      '{"lockstep:text":"a\\nb"}',
      '{"lockstep:text":"cr\\r"}',
      '{"lockstep:text":"\\u001b[2J\\u009b"}',
      '{"lockstep:text":"{\\"lockstep:text\\":\\"forged\\"}"}',
      "tab\tand \u2028",
      '{"lockstep:base64":"Af8="}',
    ]);
    const json = await SubscriberProcess.start(["--recent", "6", "--json", `${url}/rooms/odd`]);
    const history: unknown = await (await fetch(`${url}/history/rooms/odd`)).json();
    expect((await json.receive(6)).map((line) => JSON.parse(line))).toEqual(Object(history).messages);
    expect(json.lines.join("")).not.toMatch(/\p{Cc}/u);
    await Promise.all([plain.end(), json.end()]);
    await joined(instance, 0);
  });

  test("--since goes on after a position, and says when it cannot", async () => {
    const ids = [];
    for (const text of ["1", "2", "3"]) ids.push(await instance.publishId("rooms/since", text));
    const subscriber = await SubscriberProcess.start([`${url}/rooms/since`, "--since", String(ids[0])]);
    expect(await subscriber.receive(2)).toEqual(["2", "3"]);
    expect(subscriber.notes).toEqual([]);
    const stranger = await SubscriberProcess.start([`${url}/rooms/since`, "--since", "another-1"]);
    expect(await stranger.receive(3)).toEqual(["1", "2", "3"]);
    expect(stranger.notes).toEqual([
      expect.stringMatching(/^lockstep: messages may be missing here: .* after another-1; going on after .*-0$/),
    ]);
    await Promise.all([subscriber.end(), stranger.end()]);
    await joined(instance, 0);
  });

  test("a repeat under a key publishes once", async () => {
    const words = ["publish", "--idempotency-key", "k", `${url}/rooms/key`];
    const [one, two] = [await run([...words, "first"]), await run([...words, "second"])];
    expect([one.code, two]).toEqual([0, one]);
    const refused = await run(["publish", "--idempotency-key", "k", `${url}/7`, "x"]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("keeps no history")]);
  });
});

const BINARY = { "content-type": "application/octet-stream" };

describe("a subscriber whose server goes away", () => {
  test("misses nothing on a channel with history, while the server is killed and started again", async () => {
    const redis = await RedisServer.start();
    const port = await freePort();
    const env = { REDIS_URL: redis.url, PORT: String(port) };
    const other = await Instance.start({ env: { REDIS_URL: redis.url } });
    let server = await Server.start(env);
    const subscriber = await SubscriberProcess.start([`${server.url}/rooms/a`, "--json"]);
    const expected: string[] = [];
    const publish = async (): Promise<void> => {
      const text = `message ${expected.length}`;
      expected.push(JSON.stringify({ id: await other.publishId("rooms/a", text), text }));
    };
    await waitFor("the subscriber", async () => (await (await fetch(`${other.url}/presence/rooms/a`)).text()).includes('"count":1'));
    for (let round = 0; round < 3; round += 1) {
      for (let count = 0; count < 5; count += 1) await publish();
      await subscriber.receive(expected.length);
      await server.end(round === 1 ? "SIGTERM" : "SIGKILL");
      for (let count = 0; count < 5; count += 1) await publish();
      server = await Server.start(env);
      await subscriber.receive(expected.length);
    }
    expect(subscriber.lines).toEqual(expected);
    expect(subscriber.notes.filter((note) => note.endsWith("connected again; nothing is missing")).length).toBe(3);
    expect(subscriber.notes.some((note) => note.includes("(1001: the server is stopping); coming back"))).toBe(true);
    expect(subscriber.notes.some((note) => note.includes("(1006: cut off); coming back"))).toBe(true);
    expect(subscriber.notes.join("\n")).not.toContain("may be missing");
    expect(await subscriber.end()).toBe(0);
    await server.end();
    await other.stop();
    await redis.stop();
  });

  test("says that messages may be missing where the history was forgotten, and where there is none", async () => {
    const port = await freePort();
    let server = await Server.start({ PORT: String(port) });
    const subscribers = await Promise.all(["rooms/a", "7"].map((path) => SubscriberProcess.start([`${server.url}/${path}`])));
    const there = async (): Promise<boolean> => /^lockstep_connections 2$/m.test(await (await fetch(`${server.url}/metrics`)).text());
    await waitFor("both", there);
    await server.end("SIGKILL");
    server = await Server.start({ PORT: String(port) });
    for (const subscriber of subscribers) await subscriber.hear("messages may be missing here");
    await waitFor("both", there);
    expect((await run(["publish", `${server.url}/rooms/a`, "after"])).code).toBe(0);
    expect(await subscribers[0]?.receive(1)).toEqual(["after"]);
    await Promise.all(subscribers.map((subscriber) => subscriber.end()));
    await server.end();
  });
});

test("a channel that ceases to keep history is followed without it, and no position is named to go on from", async () => {
  const plain = '[[channels]]\npath = "rooms/{room}"\n';
  const instance = await Instance.start({ toml: `${plain}history = { size = 10, ttl = "1m" }\n` });
  const subscriber = await SubscriberProcess.start(["--recent", "5", `${instance.url}/rooms/a`]);
  await instance.publish("rooms/a", "one");
  await subscriber.receive(1);
  instance.reload({ toml: plain });
  await subscriber.hear("the channel keeps no history");
  await instance.publish("rooms/a", "two");
  await subscriber.receive(2);
  expect(await subscriber.end()).toBe(0);
  expect(subscriber.lines).toEqual(["one", "two"]);
  expect(subscriber.notes.join("\n")).not.toContain("--since");
  await instance.stop();
});

test("a refusal that does not end is told all the same, soon", async () => {
  const endless = Bun.serve({
    port: 0,
    fetch: () => new Response(new ReadableStream({ start: (body) => body.enqueue("no") }), { status: 401 }),
  });
  const startedMs = performance.now();
  const { code, stderr } = await run(["subscribe", `${endless.url.href}rooms/a`]);
  expect([code, stderr]).toMatchObject([1, expect.stringContaining("answered 401")]);
  expect(performance.now() - startedMs).toBeLessThan(15_000);
  await endless.stop(true);
});

test("comes back no sooner than the server said", async () => {
  const askedMs: number[] = [];
  const busy = Bun.serve({
    port: 0,
    fetch(request, server) {
      askedMs.push(performance.now());
      if (askedMs.length === 2) return new Response(null, { status: 503, headers: { "retry-after": "2" } });
      return server.upgrade(request) ? undefined : NOBODY;
    },
    websocket: { message: () => undefined, open: (socket) => socket.close(1001) },
  });
  const subscriber = await SubscriberProcess.start([`${busy.url.href}rooms/a`]);
  await waitFor("three attempts", () => askedMs.length === 3);
  expect((askedMs[2] ?? 0) - (askedMs[1] ?? 0)).toBeGreaterThanOrEqual(1990);
  await subscriber.end();
  await busy.stop(true);
});

test("a network that swallows everything is noticed, and one where nothing happens is left alone", async () => {
  const instance = await Instance.start();
  const proxy = await Proxy.start(instance.port);
  const opened = Promise.withResolvers<void>();
  const quiet = { opened: () => opened.resolve(), message: () => undefined };
  const socket = new RemoteSocket(`ws://127.0.0.1:${proxy.port}/ws/rooms/a`, {}, quiet, 50);
  let end: unknown;
  void socket.ended.then((how) => (end = how));
  await opened.promise;
  await whileNothingHappens(500);
  expect(end).toBeUndefined();
  proxy.hold();
  expect(await socket.ended).toEqual({ how: "closed", code: 1006 });
  proxy.stop();
  await instance.stop();
});

describe("where it makes no sense to come back, a subscriber ends with 1 and one line", () => {
  test("an expired token, a disconnection, and a server that was never there", async () => {
    const instance = await Instance.start({ env: { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY } });
    const target = `${instance.url}/rooms/a`;
    const token = await tokenOf({ sub: "alice", subscribe: ["rooms/*"] });
    const short = await tokenOf({ subscribe: ["rooms/*"], ttlMs: 2000 });
    const alice = await SubscriberProcess.start([target], { LOCKSTEP_TOKEN: token });
    const expiring = await SubscriberProcess.start([target], { LOCKSTEP_TOKEN: short, LOCKSTEP_API_KEY: API_KEY });
    const key = { authorization: `Bearer ${API_KEY}` };
    await waitFor("both", async () =>
      (await (await fetch(`${instance.url}/presence/rooms/a`, { headers: key })).text()).includes('"count":2'),
    );
    await fetch(`${instance.url}/disconnect`, { method: "POST", headers: key, body: '{"sub":"alice"}' });
    expect(await alice.exited()).toBe(1);
    expect(alice.notes).toEqual([expect.stringMatching(/^lockstep: the connection ended \(3003: disconnected by the operator/)]);
    expect(await expiring.exited()).toBe(1);
    expect(expiring.notes).toEqual([expect.stringMatching(/^lockstep: the connection ended \(3000: the token has expired/)]);
    await instance.stop();
    expect(await run(["subscribe", target])).toEqual({
      code: 1,
      stdout: "",
      stderr: `lockstep: cannot connect to ${instance.url} (ECONNREFUSED)\n`,
    });
  });

  test("a refusal says why, and what to do", async () => {
    const instance = await Instance.start({ env: { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY } });
    const room = `${instance.url}/rooms/a`;
    const weak = await tokenOf({ subscribe: ["7"], publish: ["7"] });
    const cases = [
      [room, {}, /^lockstep: 401 [^\n]*set LOCKSTEP_TOKEN or LOCKSTEP_API_KEY\n$/],
      [room, { LOCKSTEP_TOKEN: "nonsense" }, /^lockstep: 401 [^\n]*LOCKSTEP_TOKEN was not taken: set another\n$/],
      [room, { LOCKSTEP_TOKEN: weak, LOCKSTEP_API_KEY: API_KEY }, /^lockstep: 403 [^\n]*LOCKSTEP_TOKEN does not allow it\n$/],
      [`${instance.url}/no/such`, { LOCKSTEP_TOKEN: "", LOCKSTEP_API_KEY: API_KEY }, /^lockstep: 404 [^\n]*"no\/such"\n$/],
    ] as const;
    for (const [url, env, line] of cases) {
      for (const words of [
        ["subscribe", url],
        ["publish", url, "x"],
      ]) {
        const { code, stdout, stderr } = await run(words, env);
        expect([code, stdout]).toEqual([1, ""]);
        expect(stderr).toMatch(line);
      }
    }
    const { code, stderr } = await run(["subscribe", "--since", "a-1", `${instance.url}/7`], { LOCKSTEP_API_KEY: API_KEY });
    expect([code, stderr]).toEqual([1, "lockstep: 400 Malformed request: This channel keeps no history, so it takes no since.\n"]);
    expect((await run(["publish", room, "by key"], { LOCKSTEP_API_KEY: API_KEY })).code).toBe(0);
    await instance.stop();
  });

  test("a server that is none", async () => {
    const fake = Bun.serve({
      port: 0,
      fetch: ({ url }) =>
        url.includes("moved")
          ? new Response(null, { status: 302, headers: { location: "http://elsewhere.test/?token=s" } })
          : new Response("\u001b[2J"),
    });
    for (const words of [["subscribe"], ["publish"]]) {
      const rest = words[0] === "publish" ? ["x"] : [];
      const plain = await run([...words, `${fake.url.href}rooms/a`, ...rest]);
      expect([plain.code, plain.stdout]).toEqual([1, ""]);
      expect(plain.stderr).toBe(`lockstep: ${fake.url.origin} answered 200, and not as Lockstep does\n`);
      const moved = await run([...words, `${fake.url.href}moved/a`, ...rest]);
      expect(moved.stderr).toContain("it sends this to http://elsewhere.test/: take that server's url");
    }
    await fake.stop(true);
  });
});

test("what a server says tells a terminal nothing, in a refusal or in a header", async () => {
  const fake = Bun.serve({
    port: 0,
    fetch: (request, server) => {
      if (request.url.includes("refused"))
        return Response.json({ title: "\u001b[2J\nlockstep: forged", detail: "\u009b" }, { status: 400 });
      return server.upgrade(request, { headers: { "lockstep-position": "\u009b2J-5", "lockstep-resumed": "false" } }) ? undefined : NOBODY;
    },
    websocket: { message: () => undefined },
  });
  const subscriber = await SubscriberProcess.start([`${fake.url.href}rooms/a`]);
  await subscriber.hear("messages may be missing here");
  await subscriber.end();
  const refused = await run(["subscribe", `${fake.url.href}rooms/refused`]);
  expect(refused.stderr).toBe("lockstep: 400  [2J lockstep: forged:  \n");
  for (const note of subscriber.notes) expect(note).not.toMatch(/\p{Cc}/u);
  expect(subscriber.notes[0]).toEndWith("; going on after  2J-5");
  await fake.stop(true);
});

const NOBODY = new Response(null, { status: 404 });

describe("standard output", () => {
  test("that is closed ends a subscriber with 0, without a word", async () => {
    const instance = await Instance.start();
    const subscriber = await SubscriberProcess.startUnread([`${instance.url}/rooms/a`]);
    await joined(instance, 1);
    subscriber.hangUp();
    await instance.publish("rooms/a", "to nobody");
    expect([await subscriber.exited(), subscriber.notes]).toEqual([0, []]);
    await instance.stop();
  });

  test("that is not read holds up the server and not the memory, and a signal ends it all the same", async () => {
    const instance = await Instance.start({ toml: `${ROOMS}[limits]\nslow_consumer_bytes = 536870912\nmessages_per_second = 0` });
    const subscriber = await SubscriberProcess.startUnread([`${instance.url}/rooms/a`]);
    await joined(instance, 1);
    const before = residentBytes(subscriber.pid);
    await flood(
      instance.port,
      Array.from({ length: 2000 }, () => "x".repeat(50_000)),
    );
    expect(residentBytes(subscriber.pid) - before).toBeLessThan(50_000_000);
    const since = Date.now();
    expect(await subscriber.end()).toBe(0);
    expect(Date.now() - since).toBeLessThan(5000);
    // What it names to go on from has been written, whole.
    subscriber.read();
    await subscriber.receive(Number(/--since [^-]+-(\d+) /.exec(subscriber.notes.join())?.[1] ?? 0));
    await instance.stop();
  });

  test("that is read late has every message once, though the server had closed meanwhile", async () => {
    const instance = await Instance.start({ toml: `${ROOMS}[limits]\nslow_consumer_bytes = 4194304\nmessages_per_second = 0` });
    const subscriber = await SubscriberProcess.startUnread([`${instance.url}/rooms/a`]);
    await joined(instance, 1);
    const texts = Array.from({ length: 1000 }, (_, index) => `${index} ${"x".repeat(60_000)}`);
    await flood(instance.port, texts);
    await waitFor("the close", async () => (await instance.metric("lockstep_slow_consumers_closed_total")) > 0);
    subscriber.read();
    expect(await subscriber.receive(1000)).toEqual(texts);
    expect(subscriber.notes.join("\n")).toContain("(1013: ");
    expect(subscriber.notes.join("\n")).not.toContain("may be missing");
    expect(await subscriber.end()).toBe(0);
    await instance.stop();
  });
});

/** Sends many texts, no faster than they come back. */
async function flood(port: number, texts: readonly string[]): Promise<void> {
  const writer = await Client.join(port, "/ws/rooms/a");
  for (const [index, text] of texts.entries()) {
    writer.send(text);
    if (index % 20 === 0) await waitFor("the echo", () => writer.frames.length >= index);
  }
  await waitFor("the last echo", () => writer.frames.length >= texts.length);
  writer.destroy();
}

/** Rooms that keep much. */
const ROOMS = '[[channels]]\npath = "rooms/{room}"\nname = "rooms:{room}"\nhistory = { size = 10000, ttl = "10m" }\n';

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
