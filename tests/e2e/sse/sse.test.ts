import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { formatMessage, formatOpening, formatReset } from "../../../src/protocols/sse.ts";
import { buses } from "../../bus/buses.ts";
import { EventClient } from "../../support/event-client.ts";
import { Instance } from "../../support/instance.ts";
import { RedisServer } from "../../support/redis.ts";
import { waitFor } from "../../support/wait.ts";

setDefaultTimeout(40_000);

const toml = `
[limits]
messages_per_second = 0
slow_consumer_bytes = 200000
max_message_bytes = 2000000
[[channels]]
path = "rooms/{room}"
history = {}
[[channels]]
path = "plain/{name}"
[[channels]]
path = "large/{name}"
[[channels]]
path = "spared/{name}"
on_gap = "ignore"
`;

describe("the format of an event", () => {
  test("begins with the time to come back after and, where there is one, the position alone", () => {
    expect(formatOpening(1000, null)).toBe("retry: 1000\n\n");
    expect(formatOpening(1000, "e-1")).toBe("retry: 1000\nid: e-1\n\n");
  });

  test.each([
    ["one", "data: one\n\n"],
    ["", "data: \n\n"],
    [" led", "data:  led\n\n"],
    ["a\nb\r\nc\rd\n", "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"],
    ["id: x\n\nevent: y", "data: id: x\ndata: \ndata: event: y\n\n"],
  ])("has a line of data for each line of the text %p", (text, event) => {
    expect(formatMessage(text, null)).toBe(event);
    expect(formatMessage(text, "e-1")).toBe(`id: e-1\n${event}`);
  });

  test("holds binary in base64, as an event of its own", () => {
    expect(formatMessage(Buffer.from([0, 255]), "e-1")).toBe("id: e-1\nevent: binary\ndata: AP8=\n\n");
  });

  test("tells a gap with the position, or that there is none", () => {
    expect(formatReset("e-1")).toBe('id: e-1\nevent: reset\ndata: {"position":"e-1"}\n\n');
    expect(formatReset(null)).toBe('event: reset\ndata: {"position":null}\n\n');
  });
});

for (const { name, start } of buses) {
  describe(`server-sent events over the ${name} bus`, () => {
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

    test("carry what is published from the answer on, with its position, and how it began", async () => {
      const path = `rooms/s${(rooms += 1)}`;
      const client = await EventClient.open(`${instance.url}/sse/${path}`);
      expect(client.response.status).toBe(200);
      expect(client.response.headers.get("content-type")).toBe("text/event-stream");
      expect(client.response.headers.get("cache-control")).toBe("no-store");
      expect(client.response.headers.get("x-accel-buffering")).toBe("no");
      const id = await instance.publishId(path, "eins\r\nzwei");
      await instance.publish(path, Buffer.from([0, 255]), { "content-type": "application/octet-stream" });
      await client.receive(2);
      const at = (offset: number): string => id.replace(/1$/, String(offset));
      expect(client.head.startsWith(`retry: 1000\nid: ${at(0)}\n\n`)).toBe(true);
      expect(client.events).toEqual([
        { event: "message", data: "eins\nzwei", id: at(1) },
        { event: "binary", data: "AP8=", id: at(2) },
      ]);
      client.close();
    });

    test("have no ids on a channel without history, and take none but an empty one", async () => {
      const client = await EventClient.open(`${instance.url}/sse/plain/a`, { "Last-Event-ID": "e-1" });
      await instance.publish("plain/a", "x");
      await client.receive(1);
      expect(client.head).toBe("retry: 1000\n\ndata: x\n\n");
      client.close();
      const empty = await EventClient.open(`${instance.url}/sse/plain/a?last_event_id=`);
      expect(empty.response.status).toBe(200);
      empty.close();
      for (const query of ["recent=1", "last_event_id=e-1"]) {
        expect((await fetch(`${instance.url}/sse/plain/a?${query}`)).status).toBe(400);
      }
    });

    test("resume after the last id, by header or query, which count more than ?recent; and tell where that cannot be", async () => {
      const path = `rooms/s${(rooms += 1)}`;
      const ids: string[] = [];
      let ends = 0;
      for (const text of ["1", "2", "3", "4"]) ids.push(await instance.publishId(path, text));
      const texts = async (query: string, headers: Record<string, string> = {}): Promise<string[]> => {
        const client = await EventClient.open(`${instance.url}/sse/${path}${query}`, headers);
        const end = `end${(ends += 1)}`;
        await instance.publish(path, end);
        await waitFor("the end", () => client.events.at(-1)?.data === end);
        client.close();
        return client.events.map(({ event, data }) => (event === "reset" ? `reset ${data}` : data));
      };
      expect(await texts("", { "Last-Event-ID": ids[2] ?? "" })).toEqual(["4", "end1"]);
      expect(await texts(`?last_event_id=${ids[1]}`)).toEqual(["3", "4", "end1", "end2"]);
      expect(await texts("?recent=3", { "Last-Event-ID": ids[3] ?? "" })).toEqual(["end1", "end2", "end3"]);
      expect(await texts("?recent=4&last_event_id=")).toEqual(["4", "end1", "end2", "end3", "end4"]);
      const first = ids[0]?.replace(/1$/, "0") ?? "";
      expect((await texts("?last_event_id=foreign-3")).slice(0, 2)).toEqual([`reset {"position":"${first}"}`, "1"]);
      for (const bad of ["?last_event_id=garbage", "?recent=x"])
        expect((await fetch(`${instance.url}/sse/${path}${bad}`)).status).toBe(400);
    });

    test("go to the client with the others, count as connections, and are given up when the client goes", async () => {
      await waitFor("nobody", async () => (await instance.metric("lockstep_connections")) === 0);
      const path = `rooms/s${(rooms += 1)}`;
      const clients = await Promise.all([1, 2, 3].map(() => EventClient.open(`${instance.url}/sse/${path}`)));
      const socket = await instance.join(path);
      expect(await instance.metric("lockstep_connections")).toBe(4);
      socket.send("hello");
      for (const client of clients) expect((await client.receive(1))[0]?.data).toBe("hello");
      for (const client of clients) client.close();
      socket.destroy();
      await waitFor("nobody", async () => (await instance.metric("lockstep_connections")) === 0);
    });

    test("end for a client that does not read, after what it was sent before, and cost the others nothing", async () => {
      const path = `rooms/s${(rooms += 1)}`;
      const slow = connect(instance.port, "127.0.0.1");
      let received = "";
      let ended = false;
      slow.on("data", (part: Buffer) => (received += part.toString().replaceAll("x", "")));
      slow.on("close", () => (ended = true));
      slow.write(`GET /sse/${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await waitFor("the stream", () => received.includes("retry: 1000"));
      slow.pause();
      const healthy = await instance.join(path);
      const big = "x".repeat(30_000);
      for (let index = 0; index < 1200; index += 1) {
        await instance.publish(path, `${index} ${big}`);
        if (index % 100 === 99) await healthy.receive(index + 1);
      }
      slow.resume();
      await waitFor("the end of the stream", () => ended);
      const got = [...received.matchAll(/data: (\d+) /g)].map(([, index]) => Number(index));
      expect(got).toEqual(got.map((_, index) => index));
      expect(got.length).toBeWithin(5, 1200);
      expect(await instance.metric('lockstep_refusals_total{reason="slow-reader"}')).toBe(1);
      const said = { msg: "refused", reason: "slow-reader", address: "127.0.0.1", where: path.replace("/", ":") };
      expect(instance.log).toContainEqual(expect.objectContaining(said));
      healthy.destroy();
    });

    test("go on for a client that reads, however large a message is", async () => {
      const client = await EventClient.open(`${instance.url}/sse/large/a`);
      for (let index = 1; index <= 3; index += 1) {
        await instance.publish("large/a", `${index}`.repeat(1_500_000));
        const events = await client.receive(index);
        expect(events[index - 1]?.data.length).toBe(1_500_000);
      }
      expect(client.ended).toBe(false);
      client.close();
    });

    test("end when the instance drains, with all that was sent before", async () => {
      const own = await Instance.start({ env: { REDIS_URL: running.url }, toml });
      const client = await EventClient.open(`${own.url}/sse/rooms/drained`);
      for (let index = 0; index < 50; index += 1) await own.publish("rooms/drained", String(index));
      await own.stop();
      await waitFor("the end of the stream", () => client.ended);
      expect(client.events.map(({ data }) => data)).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
    });

    test("do not answer HEAD, which would never end", async () => {
      const response = await fetch(`${instance.url}/sse/rooms/head`, { method: "HEAD" });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET"]);
    });
  });
}

test("a client of events that reads nothing for two ping intervals is cut, and its socket is gone", async () => {
  const instance = await Instance.start({ toml: `[server]\nping_interval = "500ms"\n${toml}` });
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  for (let index = 0; index < 100; index += 1) await instance.publish("rooms/dead", "x".repeat(60_000));
  const sockets = Array.from({ length: 20 }, () => connect(instance.port, "127.0.0.1"));
  for (const socket of sockets) {
    socket.pause();
    socket.write("GET /sse/rooms/dead?recent=100 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  await waitFor("them to be in", async () => (await instance.metric("lockstep_connections")) === 20);
  const before = descriptors();
  await waitFor("them to be cut", async () => (await instance.metric("lockstep_connections")) === 0);
  await waitFor("their sockets to be gone", () => descriptors() <= before - 18, 10_000);
  for (const socket of sockets) socket.destroy();
  await instance.stop();
});

describe("server-sent events and a Redis that is away", () => {
  test("wait with 200, then go on where the client was; a gap is told where nothing is kept", async () => {
    const redis = await RedisServer.start("always");
    const instance = await Instance.start({ env: { REDIS_URL: redis.url }, toml });
    const [kept, plain, spared] = await Promise.all(
      ["rooms/a", "plain/a", "spared/a"].map((path) => EventClient.open(`${instance.url}/sse/${path}`)),
    );
    for (const path of ["rooms/a", "plain/a", "spared/a"]) await instance.publish(path, "before");
    for (const client of [kept, plain, spared]) await client?.receive(1);
    await redis.kill();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    const waiting = await EventClient.open(`${instance.url}/sse/rooms/a?last_event_id=${kept?.events[0]?.id}`);
    expect(waiting.response.status).toBe(200);
    const published = instance.publish("rooms/a", "while away");
    await redis.start();
    await published;
    await waitFor("readyz to be back", () => instance.ready());
    for (const path of ["rooms/a", "plain/a", "spared/a"]) await instance.publish(path, "after");
    const datas = (client: EventClient | undefined): unknown => client?.events.map(({ event, data }) => [event, data]);
    await waitFor("all of it", () => [kept, plain, spared, waiting].every((client) => client?.events.at(-1)?.data === "after"));
    expect(datas(kept)).toEqual([
      ["message", "before"],
      ["message", "while away"],
      ["message", "after"],
    ]);
    expect(datas(waiting)).toEqual([
      ["message", "while away"],
      ["message", "after"],
    ]);
    expect(datas(plain)).toEqual([
      ["message", "before"],
      ["reset", '{"position":null}'],
      ["message", "after"],
    ]);
    expect(datas(spared)).toEqual([
      ["message", "before"],
      ["message", "after"],
    ]);
    // What Redis has forgotten is told by a reset, too, with the new position.
    const admin = redis.client();
    await admin.flushall();
    await instance.publish("rooms/a", "anew");
    await waitFor("the reset", () => kept?.events.at(-1)?.data === "anew");
    const reset = kept?.events.at(-2);
    expect([reset?.event, reset?.data]).toEqual(["reset", JSON.stringify({ position: kept?.events.at(-1)?.id.replace(/1$/, "0") })]);
    for (const client of [kept, plain, spared, waiting]) client?.close();
    await instance.stop();
    await redis.stop();
  });
});
