import { Type, type Static } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { buses } from "../../bus/buses.ts";
import { Client } from "../../support/client.ts";
import { EventClient } from "../../support/event-client.ts";
import { Instance } from "../../support/instance.ts";
import { waitFor, whileNothingHappens } from "../../support/wait.ts";

const toml = `
[limits]
messages_per_second = 0
slow_consumer_bytes = 300000
[[channels]]
path = "rooms/{room}"
history = { size = 10, ttl = "1m" }
presence = true
[[channels]]
path = "long/{room}"
history = { size = 400, ttl = "1m" }
[[channels]]
path = "brief/{room}"
history = { size = 10, ttl = "300ms" }
[[channels]]
path = "plain/{name}"
`;

const answer = Type.Object({
  channel: Type.String(),
  position: Type.String(),
  resumed: Type.Union([Type.Boolean(), Type.Null()]),
  messages: Type.Array(Type.Object({ id: Type.String(), text: Type.Optional(Type.String()), base64: Type.Optional(Type.String()) })),
});

for (const { name, start } of buses) {
  describe(`history over the ${name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let instance: Instance;
    let rooms = 0;
    beforeAll(async () => {
      running = await start();
      instance = await Instance.start({ env: { REDIS_URL: running.url }, toml });
    });
    afterAll(async () => {
      await instance.stop();
      await running.stop();
    });

    const history = async (path: string, query = ""): Promise<Static<typeof answer>> =>
      Value.Parse(answer, await (await fetch(`${instance.url}/history/${path}${query}`)).json());
    const statusOf = async (path: string, init?: RequestInit): Promise<number> => (await fetch(`${instance.url}${path}`, init)).status;

    /** A room of its own with so many messages, m1 and so on; returns its path and how to name a position. */
    async function room(count: number): Promise<{ path: string; at: (offset: number) => string }> {
      const path = `rooms/r${(rooms += 1)}`;
      for (let index = 1; index <= count; index += 1) await instance.publish(path, `m${index}`);
      const body = await history(path);
      const epoch = body.position.split("-")[0] ?? "";
      return { path, at: (offset) => `${epoch}-${offset}` };
    }

    test("is read newest first in number, oldest first in order, with text and binary told apart", async () => {
      const { path, at } = await room(2);
      await instance.publish(path, Buffer.from([0, 255]), { "content-type": "application/octet-stream" });
      expect(await history(path, `?limit=2`)).toEqual({
        channel: path.replace("/", ":"),
        position: at(3),
        resumed: null,
        messages: [
          { id: at(2), text: "m2" },
          { id: at(3), base64: "AP8=" },
        ],
      });
      const after = await history(path, `?since=${at(1)}&limit=1`);
      expect([after.resumed, after.position, after.messages]).toEqual([true, at(3), [{ id: at(2), text: "m2" }]]);
    });

    test("of large messages is answered whole, and told apart from one that is cut short", async () => {
      const { path, at } = await room(0);
      const sent = Array.from({ length: 9 }, (_, index) => (index === 4 ? Buffer.alloc(60_000, index) : `${index}\u0001"`.repeat(15_000)));
      for (const body of sent)
        await instance.publish(path, body, typeof body === "string" ? {} : { "content-type": "application/octet-stream" });
      const messages = sent.map((body, index) =>
        typeof body === "string" ? { id: at(index + 1), text: body } : { id: at(index + 1), base64: body.toString("base64") },
      );
      expect(await history(path)).toEqual({ channel: path.replace("/", ":"), position: at(9), resumed: null, messages });
      expect((await history(path, "?limit=7")).messages).toEqual(messages.slice(2));
      expect((await history(path, `?since=${at(1)}&limit=7`)).messages).toEqual(messages.slice(1, 8));
    });

    test("is cut off, never closed up, where the log goes on too far before its reader has it", async () => {
      const fill = async (): Promise<void> => {
        for (let index = 0; index < 400; index += 1) await instance.publish("long/cut", "x".repeat(65_000));
      };
      await fill();
      const reader = connect(instance.port, "127.0.0.1");
      let received = "";
      let ended = false;
      reader.on("data", (part: Buffer) => (received += part.toString("latin1")));
      reader.on("error", () => "it is cut off");
      reader.on("close", () => (ended = true));
      reader.write("GET /history/long/cut?limit=400 HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await waitFor("the beginning", () => received.includes("xxx"));
      reader.pause();
      await fill();
      reader.resume();
      await waitFor("the end", () => ended);
      expect(received).toContain("HTTP/1.1 200");
      expect(received.length).toBeGreaterThan(65_000);
      expect(received.endsWith("0\r\n\r\n")).toBe(false);
      expect((await history("long/cut", "?limit=2")).messages.length).toBe(2);
    });

    test("of a channel without messages has a position all the same, and one that can be resumed from", async () => {
      const { path, at } = await room(0);
      expect(await history(path)).toEqual({
        channel: path.replace("/", ":"),
        position: at(0),
        resumed: null,
        messages: [],
      });
      await instance.publish(path, "first");
      const client = await instance.join(`${path}?since=${at(0)}`);
      expect([client.headers.get("lockstep-resumed"), await client.receive(1)]).toEqual(["true", ["first"]]);
    });

    test("tells who asks for what is gone, ahead, or of another epoch, and gives all that is kept", async () => {
      const { path, at } = await room(15);
      for (const since of [at(3), at(16), "foreign-7", "a_b.c-0"]) {
        const body = await history(path, `?since=${since}`);
        expect([body.resumed, body.messages.length, body.messages[0]?.id]).toEqual([false, 10, at(6)]);
        const client = await instance.join(`${path}?since=${since}&hello=1`);
        expect([client.headers.get("lockstep-position"), client.headers.get("lockstep-resumed")]).toEqual([at(5), "false"]);
        const [hello, ...replay] = await client.receive(11);
        expect(hello).toBe(`{"position":"${at(5)}","resumed":false}`);
        expect(replay).toEqual(Array.from({ length: 10 }, (_, index) => `m${index + 6}`));
      }
    });

    test("is replayed to a WebSocket before what is live, from where the headers and the first frame say", async () => {
      const { path, at } = await room(3);
      const cases: [query: string, position: string, resumed: boolean | null, replay: string[]][] = [
        [`since=${at(1)}&`, at(1), true, ["m2", "m3"]],
        [`since=${at(3)}&`, at(3), true, []],
        ["recent=2&", at(1), null, ["m2", "m3"]],
        ["recent=99&", at(0), null, ["m1", "m2", "m3"]],
        ["recent=0&", at(3), null, []],
        ["", at(3), null, []],
      ];
      const clients = await Promise.all(cases.map(([query]) => instance.join(`${path}?${query}hello=1`)));
      await instance.publish(path, "live");
      for (const [index, [, position, resumed, replay]] of cases.entries()) {
        const client = clients[index];
        expect(await client?.receive(replay.length + 2)).toEqual([JSON.stringify({ position, resumed }), ...replay, "live"]);
        expect(client?.headers.get("lockstep-position")).toBe(position);
        expect(client?.headers.get("lockstep-resumed")).toBe(resumed === null ? undefined : String(resumed));
      }
    });

    test("keeps the kind and the bytes of what it replays", async () => {
      const { path } = await room(0);
      const sender = await instance.join(path);
      const messages = ["", "测试", Buffer.from([]), Buffer.from([0xff, 1, 0])];
      for (const message of messages) sender.send(message);
      await sender.receive(4);
      expect(await (await instance.join(`${path}?recent=4`)).receive(4)).toEqual(messages);
    });

    test("is over after its time, but not the position", async () => {
      const path = "brief/a";
      const id = await instance.publishId(path, "x");
      await waitFor("the end of it", async () => (await history(path)).messages.length === 0);
      const client = await instance.join(`${path}?since=${id}`);
      expect(client.headers.get("lockstep-resumed")).toBe("true");
    });

    test("publishes once under an Idempotency-Key, whoever waits and whatever the body, and once for each channel", async () => {
      const { path, at } = await room(0);
      const other = await room(0);
      const headers = { "idempotency-key": "k".repeat(128) };
      const answers = await Promise.all(["a", "b", "c"].map(async (body) => (await instance.publish(path, body, headers)).json()));
      expect(answers).toEqual([1, 2, 3].map(() => ({ channel: path.replace("/", ":"), id: at(1) })));
      expect(await (await instance.publish(other.path, "a", headers)).json()).toMatchObject({ id: other.at(1) });
      expect((await history(path)).messages.length).toBe(1);
      expect((await instance.publish(path, "x", { "idempotency-key": "k".repeat(129) })).status).toBe(400);
      expect((await instance.publish(path, "x", { "idempotency-key": "" })).status).toBe(400);
    });

    test("keeps idempotency keys of channels apart, whatever their names hold", async () => {
      const [spaced, plain] = ["rooms/k%20a", "rooms/k"];
      await instance.publish(plain, "one", { "idempotency-key": "a b" });
      await instance.publish(spaced, "two", { "idempotency-key": "b" });
      expect((await history(spaced)).messages.map(({ text }) => text)).toEqual(["two"]);
    });

    test("of large messages is replayed no faster than it is read, and whole", async () => {
      const { path } = await room(0);
      const big = "x".repeat(60_000);
      for (let index = 0; index < 10; index += 1) await instance.publish(path, `${index} ${big}`);
      const slow = await instance.join(`${path}?recent=10`);
      const stream = await EventClient.open(`${instance.url}/sse/${path}?recent=10`);
      slow.pause();
      await instance.publish(path, "live");
      slow.resume();
      const texts = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "live"];
      expect((await slow.receive(11)).map((message) => String(message).split(" ")[0])).toEqual(texts);
      expect((await stream.receive(11)).map(({ data }) => data.split(" ")[0])).toEqual(texts);
      const ids = stream.events.map(({ id }) => Number(id.split("-")[1]));
      expect(ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
      stream.close();
    });

    test("refuses what makes no sense", async () => {
      const { path, at } = await room(1);
      for (const query of [
        "since=garbage",
        "since=",
        "since=a-b",
        "since=a-1-2",
        "since=-1",
        "limit=0",
        "limit=1001",
        "limit=1.5",
        "limit=x",
      ]) {
        expect([query, await statusOf(`/history/${path}?${query}`)]).toEqual([query, 400]);
      }
      for (const query of ["since=garbage", "since=", `since=${at(1)}&recent=1`, "recent=x", "recent=-1", "recent=", "hello=2"]) {
        expect([query, (await Client.ask(instance.port, `/ws/${path}?${query}`)).answer.status]).toEqual([query, 400]);
      }
      expect(await statusOf("/history/plain/a")).toBe(404);
      expect(await statusOf("/history/rooms//a")).toBe(400);
      expect(await statusOf(`/history/${path}`, { method: "POST" })).toBe(405);
    });

    test("says in the close reason where to go on, and nothing on a channel without", async () => {
      const own = await Instance.start({ env: { REDIS_URL: running.url }, toml });
      const { path, at } = await room(2);
      const [kept, plain] = [await own.join(`${path}?since=${at(1)}`), await own.join("plain/a")];
      await instance.publish(path, "m3");
      if (name === "redis") await kept.receive(2);
      await own.drain();
      expect([await kept.receiveClose(), await plain.receiveClose(), plain.closeReason]).toEqual([1001, 1001, ""]);
      if (name === "redis") expect(kept.closeReason).toBe(at(3));
    });

    test("has no seam: replay and live make one run of positions, while messages pour in", async () => {
      const { path } = await room(0);
      const senders = await Promise.all([1, 2, 3].map(() => instance.join(path)));
      const pouring = new AbortController();
      let sent = 0;
      const pour = senders.map(async (sender, own) => {
        for (let index = 0; !pouring.signal.aborted; index += 1) {
          for (let burst = 0; burst < 5; burst += 1, sent += 1) sender.send(`${own}.${index}.${burst}`);
          await Bun.sleep(1);
        }
      });
      const joined: { client: Client; start: number }[] = [];
      const witness = senders[0];
      for (let index = 0; index < 60; index += 1) {
        const known = (await history(path, `?limit=1`)).position;
        const query = index % 3 === 0 ? `since=${known}` : index % 3 === 1 ? "recent=5" : "hello=0";
        const client = await instance.join(`${path}?${query}`);
        joined.push({ client, start: Number(client.headers.get("lockstep-position")?.split("-")[1]) });
      }
      pouring.abort();
      await Promise.all(pour);
      // Every sender gets what all of them sent; then nothing is on its way any more.
      await waitFor("all of it", () => senders.every(({ messages }) => messages.length === sent));
      const truth = witness?.messages ?? [];
      expect(truth.length).toBeGreaterThan(200);
      for (const { client, start: offset } of joined) {
        await client.receive(truth.length - offset);
        expect(client.messages).toEqual(truth.slice(offset));
      }
    });

    test("does not deliver what others publish in Redis on its channel, but counts it, and logs it once", async () => {
      if (name === "memory") return;
      const { path } = await room(0);
      const client = await instance.join(path);
      const foreign = new Bun.RedisClient(running.url);
      for (const text of ["a", "b"]) await foreign.publish(path.replace("/", ":"), text);
      await instance.publish(path, "ours");
      await client.receive(1);
      await whileNothingHappens(50);
      expect(client.messages).toEqual(["ours"]);
      expect(
        instance.log.filter(({ channel, msg }) => channel === path.replace("/", ":") && String(msg).includes("elsewhere")).length,
      ).toBe(1);
      expect(await (await fetch(`${instance.url}/metrics`)).text()).toContain("lockstep_foreign_messages_total 2");
      foreign.close();
    });

    test("has presence beside it: connections are counted as they come and go", async () => {
      const { path } = await room(0);
      const count = async (): Promise<unknown> => (await fetch(`${instance.url}/presence/${path}`)).json();
      const channel = path.replace("/", ":");
      expect(await count()).toEqual({ channel, count: 0, members: [] });
      const [first, second] = [await instance.join(path), await instance.join(path)];
      expect(await count()).toEqual({ channel, count: 2, members: [] });
      first.destroy();
      await waitFor("one", async () => JSON.stringify(await count()).includes('"count":1'));
      second.destroy();
      await waitFor("none", async () => JSON.stringify(await count()).includes('"count":0'));
      expect((await fetch(`${instance.url}/presence/plain/a`)).status).toBe(404);
    });
  });
}
