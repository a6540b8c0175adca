import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buses } from "../../bus/buses.ts";
import { Client } from "../../support/client.ts";
import { EventClient } from "../../support/event-client.ts";
import { Server } from "../../support/executable.ts";
import { Instance } from "../../support/instance.ts";
import { Proxy } from "../../support/proxy.ts";
import { Raw } from "../../support/raw.ts";
import { RedisServer } from "../../support/redis.ts";
import { API_KEY, bearer, EVERYTHING, HOUR_AHEAD, keyPairs, signed, tokenOf } from "../../support/tokens.ts";
import { waitFor, whileNothingHappens } from "../../support/wait.ts";

const PLAIN = '[[channels]]\npath = "a/{x}"\n';
const KEPT = '[[channels]]\npath = "a/{x}"\nhistory = {}\npresence = true\n';

for (const bus of buses) {
  describe(`a reload over the ${bus.name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let env: { REDIS_URL: string };
    beforeAll(async () => {
      running = await bus.start();
      env = { REDIS_URL: running.url };
    });
    afterAll(() => running.stop());

    /** An instance that begins by one file and goes on by others. */
    async function start(toml: string): Promise<{ instance: Instance; reload: (next: string, more?: Record<string, string>) => string[] }> {
      const instance = await Instance.start({ env, toml });
      return { instance, reload: (next, more) => instance.reload({ env: { ...env, ...more }, toml: next }) };
    }

    test("adds kinds and takes others away, while those who are there stay", async () => {
      const { instance, reload } = await start(PLAIN);
      const [one, two] = [await instance.join("a/1"), await instance.join("a/1")];
      expect(reload('[[channels]]\npath = "b"\n')).toEqual([]);
      one.send("still here");
      expect(await two.receive(1)).toEqual(["still here"]);
      expect((await Client.ask(instance.port, "/ws/a/1")).answer.status).toBe(404);
      expect((await instance.publish("a/1", "x")).status).toBe(404);
      const newcomer = await instance.join("b");
      reload(PLAIN);
      const back = await instance.join("a/1");
      newcomer.send("b");
      back.send("all of us");
      expect(await newcomer.receive(1)).toEqual(["b"]);
      for (const client of [one, two]) expect((await client.receive(2))[1]).toBe("all of us");
      await instance.stop();
    });

    test("gives clients the newer envelope of their kind", async () => {
      const { instance, reload } = await start(PLAIN);
      const client = await instance.join("a/1");
      reload(`${PLAIN}envelope = '{"new": $data}'`);
      client.send("x");
      expect(await client.receive(1)).toEqual(['{"new": "x"}']);
      await instance.stop();
    });

    test("tells clients to come again where their channel gets another name, or history", async () => {
      const { instance, reload } = await start(`${PLAIN}[[channels]]\npath = "c"\n`);
      const moved = await instance.join("a/1");
      const stream = await EventClient.open(`${instance.url}/sse/a/1`);
      const other = await instance.join("c");
      reload(`${PLAIN}name = "new:{x}"\n[[channels]]\npath = "c"\n`);
      expect(await moved.receiveClose()).toBe(1013);
      await waitFor("the stream to end", () => stream.ended);
      const there = await instance.join("a/1");
      reload(`${KEPT}name = "new:{x}"\n[[channels]]\npath = "c"\n`);
      expect(await there.receiveClose()).toBe(1013);
      const kept = await instance.join("a/1?hello=1");
      kept.send("kept");
      await kept.receive(2);
      expect(await (await fetch(`${instance.url}/history/a/1`)).json()).toMatchObject({ channel: "new:1", messages: [{ text: "kept" }] });
      reload(`${PLAIN}name = "new:{x}"\n[[channels]]\npath = "c"\n`);
      expect(await kept.receiveClose()).toBe(1013);
      expect(kept.closeReason).toMatch(/^\w+-1$/);
      const plain = await instance.join("a/1");
      plain.send("plain again");
      expect(await plain.receive(1)).toEqual(["plain again"]);
      other.send("nobody asked me to go");
      expect(await other.receive(1)).toEqual(["nobody asked me to go"]);
      await instance.stop();
    });

    test("begins and ends to tell who is present", async () => {
      const without = KEPT.replace("presence = true\n", "");
      const { instance, reload } = await start(without);
      const clients = [await instance.join("a/p"), await instance.join("a/p")];
      const count = async (): Promise<unknown> => Object(await (await fetch(`${instance.url}/presence/a/p`)).json()).count;
      reload(KEPT);
      expect(await count()).toBe(2);
      reload(without);
      expect((await fetch(`${instance.url}/presence/a/p`)).status).toBe(404);
      clients[0]?.destroy();
      await waitFor("the end", () => instance.log.some(({ msg }) => msg === "connection closed"));
      reload(KEPT);
      expect(await count()).toBe(1);
      clients[1]?.destroy();
      await waitFor("nobody to be there", async () => (await count()) === 0);
      await instance.stop();
    });

    test("changes limits for those who are there, up and down", async () => {
      const limits = (text: string): string => `${PLAIN}[limits]\n${text}\n`;
      const { instance, reload } = await start(limits("max_message_bytes = 1000"));
      const client = await instance.join("a/1");
      reload(limits("max_message_bytes = 5000\nmax_connections = 2"));
      client.send("x".repeat(5000));
      expect(await client.receive(1)).toEqual(["x".repeat(5000)]);
      expect((await instance.publish("a/1", "x".repeat(5000))).status).toBe(200);
      expect((await instance.publish("a/1", "x".repeat(5001))).status).toBe(413);
      const second = await instance.join("a/2");
      expect((await Client.ask(instance.port, "/ws/a/1")).answer.status).toBe(503);
      reload(limits("max_message_bytes = 100\nmessages_per_second = 1"));
      client.send("x".repeat(101));
      expect(await client.receiveClose()).toBe(1009);
      const witness = await instance.join("a/2");
      for (let index = 0; index < 3; index += 1) second.send(`${index}`);
      expect(await second.receiveClose()).toBe(1008);
      expect(await witness.receive(2)).toEqual(["0", "1"]);
      await instance.stop();
    });

    test("changes keys, origins and proxies at once for those who come, and asks nobody who is there to leave", async () => {
      const { instance, reload } = await start(PLAIN);
      const early = await instance.join("a/1");
      reload(PLAIN, { LOCKSTEP_API_KEY: API_KEY, LOCKSTEP_JWT_SECRET: "one", LOCKSTEP_ORIGINS: "https://a.example" });
      const status = async (headers: Record<string, string>): Promise<number> => {
        const { client, answer } = await Client.ask(instance.port, "/ws/a/1", { headers });
        client.destroy();
        return answer.status;
      };
      const [one, two] = [bearer(await tokenOf(EVERYTHING, "one")), bearer(await tokenOf({ sub: "t", ...EVERYTHING }, "two"))];
      expect([await status({}), await status(one), await status(two)]).toEqual([401, 101, 401]);
      expect(await status({ ...one, Origin: "https://b.example" })).toBe(403);
      reload(PLAIN, { LOCKSTEP_API_KEY: API_KEY, LOCKSTEP_JWT_SECRET: "two" });
      expect([await status(one), await status(two), await status({ ...two, Origin: "https://b.example" })]).toEqual([401, 101, 101]);
      const witness = await instance.join("a/1", { headers: two });
      await instance.publish("a/1", "to all", bearer(API_KEY));
      for (const client of [early, witness]) expect(await client.receive(1)).toEqual(["to all"]);
      // Who is there stays, but has no more rights than who comes.
      early.send("never heard");
      expect(await early.receiveClose()).toBe(3003);
      const named = await instance.join("a/1", { headers: two });
      const order = { method: "POST", body: '{"sub":"t"}', headers: bearer(API_KEY) };
      expect((await fetch(`${instance.url}/disconnect`, order)).status).toBe(200);
      expect(await named.receiveClose()).toBe(3003);
      witness.destroy();
      await waitFor("nobody to be there", async () => (await instance.metric("lockstep_channels", bearer(API_KEY))) === 0);
      await instance.stop();
    });

    test("where a kind has gone and another takes its names, those who stayed and those who come still hear each other, or are told", async () => {
      const shared = (path: string, rest = ""): string => `[[channels]]\npath = "${path}/{x}"\nname = "c:{x}"\n${rest}`;
      for (const [before, after] of [
        ["history = {}\n", ""],
        ["", "history = {}\n"],
        ["history = {}\n", "history = {}\npresence = true\n"],
      ] as const) {
        const { instance, reload } = await start(shared("a", before));
        const stayed = await instance.join("a/1");
        reload(shared("b", after));
        const came = await instance.join("b/1");
        came.send("hi");
        expect(await came.receive(1)).toEqual(["hi"]);
        await waitFor("the message, or a close", () => stayed.messages.includes("hi") || stayed.closeCode === 1013);
        if (after.includes("presence")) {
          const present: unknown = await (await fetch(`${instance.url}/presence/b/1`)).json();
          expect(present).toMatchObject({ count: 2 });
        }
        await instance.stop();
      }
    });

    test("who was let in by a key that is another now listens on, and is told to come with a new one when it publishes", async () => {
      const keys = (secret: string, api: string): Record<string, string> => ({ LOCKSTEP_JWT_SECRET: secret, LOCKSTEP_API_KEY: api });
      const instance = await Instance.start({ env: { ...env, ...keys("one", "a") }, toml: KEPT });
      const token = bearer(await tokenOf(EVERYTHING, "one"));
      const [holder, backend] = [await instance.join("a/k", { headers: token }), await instance.join("a/k", { headers: bearer("a") })];
      instance.reload({ env: { ...env, ...keys("one", "b") }, toml: KEPT });
      backend.send("not heard");
      expect(await backend.receiveClose()).toBe(3000);
      holder.send("heard");
      expect(await holder.receive(1)).toEqual(["heard"]);
      instance.reload({ env: { ...env, ...keys("two", "b") }, toml: KEPT });
      await instance.publish("a/k", "from the backend", bearer("b"));
      expect(await holder.receive(2)).toEqual(["heard", "from the backend"]);
      holder.send("not heard");
      expect(await holder.receiveClose()).toBe(3000);
      const kept: unknown = await (await fetch(`${instance.url}/history/a/k`, { headers: bearer("b") })).json();
      expect(kept).toMatchObject({ messages: [{ text: "heard" }, { text: "from the backend" }] });
      await instance.stop();
    });

    test("who is on a channel that belongs to a stricter kind from now on is sent away", async () => {
      const loose = '[[channels]]\npath = "n/{r}"\naccess = "open"\npublish = "open"\n';
      const { instance, reload } = await start(loose);
      const [intruder, neighbour] = [await instance.join("n/q:bob"), await instance.join("n/q")];
      const stream = await EventClient.open(`${instance.url}/sse/n/q:bob`);
      reload(`[[channels]]\npath = "n/{r}/{t}"\npublish = "key"\n${loose}`, { LOCKSTEP_API_KEY: API_KEY });
      await instance.publish("n/q/bob", "private", bearer(API_KEY));
      expect(await intruder.receiveClose()).toBe(1013);
      await waitFor("the stream to end", () => stream.ended);
      expect([intruder.messages, stream.events]).toEqual([[], []]);
      expect(neighbour.closed).toBe(false);
      await instance.stop();
    });

    test("a channel that was replaced and left is not missed, nor does its end disturb the new one", async () => {
      const { instance, reload } = await start(PLAIN);
      const old = await instance.join("a/r");
      reload(KEPT);
      await old.receiveClose();
      const fresh = await instance.join("a/r");
      await whileNothingHappens(4500);
      fresh.send("still heard");
      expect(await fresh.receive(1)).toEqual(["still heard"]);
      await instance.stop();
    });

    test("begins and ends broadcasts", async () => {
      const broadcast = (message: string): string => `[[broadcasts]]\npath = "a/1"\npattern = "* * * * * *"\nmessage = "${message}"\n`;
      const { instance, reload } = await start(PLAIN);
      const client = await instance.join("a/1");
      reload(PLAIN + broadcast("first"));
      expect(await client.receive(1)).toEqual(["first"]);
      reload(PLAIN + broadcast("second"));
      await waitFor("the second", () => client.messages.includes("second"));
      const firsts = client.messages.lastIndexOf("first");
      expect(firsts).toBeLessThan(client.messages.indexOf("second"));
      await instance.stop();
    });

    test("names what takes a restart", async () => {
      const { instance, reload } = await start(PLAIN);
      expect(
        reload(`${PLAIN}[server]\nping_interval = "1s"\n[redis]\nprefix = "x:"\n[log]\nlevel = "error"`, { HOST: "127.0.0.2" }),
      ).toEqual(["server.host", "server.ping_interval", "redis.prefix", "log.level"]);
      await instance.stop();
    });

    test("many times over, in the middle of traffic, loses, doubles and moves nothing", async () => {
      const { instance, reload } = await start(KEPT);
      const readers = await Promise.all(Array.from({ length: 5 }, () => instance.join("a/1")));
      const sender = await instance.join("a/1");
      const count = 3000;
      for (let index = 0; index < count; index += 1) {
        sender.send(`${index}`);
        if (index % 30 !== 0) continue;
        reload(
          `${KEPT}on_gap = "${index % 60 === 0 ? "ignore" : "close"}"\n[limits]\nmax_message_bytes = ${1000 + index}\nmessages_per_second = 0`,
        );
        await Bun.sleep(1);
      }
      const all = Array.from({ length: count }, (_, index) => `${index}`);
      for (const reader of [...readers, sender]) expect(await reader.receive(count)).toEqual(all);
      await instance.stop();
    });

    test("finds those who are just joining: each joins, or is told to try again", async () => {
      const { instance, reload } = await start(KEPT);
      for (let round = 0; round < 20; round += 1) {
        const asked = Array.from({ length: 10 }, () => Client.ask(instance.port, `/ws/a/j${round}`));
        await new Promise(setImmediate);
        reload(round % 2 === 0 ? PLAIN : KEPT);
        const found = await Promise.all(asked);
        expect(found.filter(({ answer }) => answer.status !== 101 && answer.status !== 503)).toEqual([]);
        const witness = await instance.join(`a/j${round}`);
        witness.send("hello");
        await witness.receive(1);
        for (const { client, answer } of found) {
          if (answer.status === 101)
            await waitFor("the message, or a close", () => client.messages.includes("hello") || client.closeCode === 1013);
          client.destroy();
        }
        witness.destroy();
      }
      await instance.stop();
    });
  });
}

test("who is joining while the channel begins or ends to keep history joins it as it is then", async () => {
  const redis = await RedisServer.start();
  const proxy = await Proxy.start(redis.port, 100);
  const env = { REDIS_URL: `redis://127.0.0.1:${proxy.port}` };
  for (const [index, [before, after]] of [
    [PLAIN, KEPT],
    [KEPT, PLAIN],
    [PLAIN, `${PLAIN}name = "n:{x}"`],
  ].entries()) {
    const instance = await Instance.start({ env, toml: before ?? "" });
    const path = `a/${index}`;
    const joining = instance.join(path);
    await waitFor("the join to be under way", async () => (await instance.metric("lockstep_channels")) === 1);
    instance.reload({ env, toml: after ?? "" });
    const client = await joining;
    client.send("heard");
    expect(await client.receive(1)).toEqual(["heard"]);
    client.destroy();
    await waitFor("the channel to be given back", async () => (await instance.metric("lockstep_channels")) === 0);
    await instance.stop();
  }
  proxy.stop();
  await redis.stop();
});

test("who is still sending what is to be published is asked by the rules that hold when it is there", async () => {
  const instance = await Instance.start({ toml: PLAIN });
  const watcher = await instance.join("a/1");
  const publisher = new Raw(instance.port, "POST /publish/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
  await whileNothingHappens(50);
  instance.reload({ toml: `${PLAIN}publish = "key"`, env: { LOCKSTEP_API_KEY: API_KEY } });
  publisher.send("lf");
  await waitFor("the refusal", () => publisher.heard.includes("HTTP/1.1 401"));
  await instance.publish("a/1", "from the backend", bearer(API_KEY));
  expect(await watcher.receive(1)).toEqual(["from the backend"]);
  publisher.destroy();
  await instance.stop();
});

test("a stream is told of a gap or not as its kind says by then", async () => {
  const redis = await RedisServer.start();
  const env = { REDIS_URL: redis.url };
  const instance = await Instance.start({ env, toml: `${PLAIN}on_gap = "ignore"` });
  const stream = await EventClient.open(`${instance.url}/sse/a/1`);
  await waitFor("its place", async () => (await instance.metric("lockstep_channels")) === 1);
  instance.reload({ env, toml: PLAIN });
  await redis.kill();
  await redis.start();
  await waitFor("redis", () => instance.ready());
  expect((await stream.receive(1))[0]?.event).toBe("reset");
  await instance.stop();
  await redis.stop();
});

describe("a stream that waits for Redis while the configuration is read anew", () => {
  const away = async (): Promise<{ instance: Instance; env: { REDIS_URL: string }; redis: RedisServer }> => {
    const redis = await RedisServer.start();
    await redis.kill();
    const env = { REDIS_URL: redis.url };
    return { instance: await Instance.start({ env, toml: PLAIN }), env, redis };
  };

  test("is not let in where it has no right any more, nor where its channel has gone or changed", async () => {
    for (const next of [
      { toml: PLAIN, keys: { LOCKSTEP_JWT_SECRET: "x" } },
      { toml: '[[channels]]\npath = "b"', keys: {} },
      { toml: KEPT, keys: {} },
    ]) {
      const { instance, env, redis } = await away();
      const stream = await EventClient.open(`${instance.url}/sse/a/1`);
      instance.reload({ env: { ...env, ...next.keys }, toml: next.toml });
      await redis.start();
      await waitFor("the stream to end", () => stream.ended);
      expect([stream.events, stream.head.startsWith("retry: 1000\n")]).toEqual([[], true]);
      await instance.stop();
      await redis.stop();
    }
  });

  test("is let in where nothing changed for it", async () => {
    const { instance, env, redis } = await away();
    const stream = await EventClient.open(`${instance.url}/sse/a/1`);
    instance.reload({ env, toml: `${PLAIN}[[channels]]\npath = "b"` });
    await redis.start();
    await waitFor("its place", async () => (await instance.metric("lockstep_channels")) === 1);
    await instance.publish("a/1", "hello");
    expect((await stream.receive(1))[0]?.data).toBe("hello");
    await instance.stop();
    await redis.stop();
  });
});

test("who waits for its keys while the configuration is read anew is asked by the newer one", async () => {
  const keys = keyPairs.ES256();
  let answer: (response: Response) => void = () => undefined;
  const server = Bun.serve({ port: 0, fetch: () => new Promise<Response>((resolve) => (answer = resolve)) });
  const auth = `[auth]\njwks_url = "${server.url.href}"\n`;
  const instance = await Instance.start({ toml: auth + PLAIN });
  const token = await signed({ sub: "me", exp: HOUR_AHEAD, lockstep: EVERYTHING }, keys.privateKey, { alg: "ES256" });
  const asked = ["/ws/a/you", "/ws/a/me", "/sse/a/you"].map((path) => Client.ask(instance.port, path, { headers: bearer(token) }));
  await waitFor("the question", () => answer.length === 1);
  instance.reload({ toml: `${auth}${PLAIN}owner = "x"` });
  answer(Response.json({ keys: [keys.publicKey.export({ format: "jwk" })] }));
  const answers = await Promise.all(asked);
  expect(answers.map((one) => one.answer.status)).toEqual([403, 101, 403]);
  for (const { client } of answers) client.destroy();
  // The keys are kept: their server may go.
  await server.stop(true);
  instance.reload({ toml: auth + PLAIN });
  const again = await Client.ask(instance.port, "/ws/a/me", { headers: bearer(token) });
  expect(again.answer.status).toBe(101);
  again.client.destroy();
  await instance.stop();
});

test("SIGHUP reads the file anew; one with faults is refused, named in the log, and nothing changes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-reload-"));
  const file = join(folder, "lockstep.toml");
  writeFileSync(file, PLAIN);
  const server = await Server.start({ LOCKSTEP_CONFIG: file });
  const client = await Client.join(server.port, "/ws/a/1");
  const status = async (path: string): Promise<number> =>
    (await fetch(`${server.url}/publish/${path}`, { method: "POST", body: "x" })).status;
  const logged = (msg: string): number => server.log.filter((line) => String(line["msg"]).startsWith(msg)).length;

  writeFileSync(file, `${PLAIN}[[channels]]\npath = "b"\n[server]\nping_interval = "1s"\n`);
  server.hangUp();
  await waitFor("the reload", () => logged("the configuration was reloaded") === 1);
  expect(await status("b")).toBe(200);
  expect(server.log).toContainEqual(expect.objectContaining({ level: "warn", settings: ["server.ping_interval"] }));

  writeFileSync(file, '[[channels]]\npath = "a//b"\nwhat = 1\n');
  server.hangUp();
  await waitFor("the refusal", () => logged("the configuration was not reloaded") === 1);
  const refusal = server.log.find(({ msg }) => String(msg).startsWith("the configuration was not reloaded"));
  expect(refusal?.["faults"]).toEqual(
    expect.arrayContaining([expect.stringContaining("channels[0].what"), expect.stringContaining("channels[0].path")]),
  );
  writeFileSync(file, "= nothing");
  server.hangUp();
  await waitFor("the second refusal", () => logged("the configuration was not reloaded") === 2);
  expect([await status("a/1"), await status("b")]).toEqual([200, 200]);
  expect(await client.receive(1)).toEqual(["x"]);
  expect(await server.end()).toBe(0);
});
