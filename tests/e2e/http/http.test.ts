import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { faults } from "../../../src/errors.ts";
import { buses } from "../../bus/buses.ts";
import { Client } from "../../support/client.ts";
import { Instance } from "../../support/instance.ts";
import { RedisServer } from "../../support/redis.ts";

/** Sends bytes as they are and resolves with what comes back until the server closes, or a whole answer is there. */
function raw(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.on("data", (data) => {
      answer += data.toString("latin1");
      const [head = "", body = ""] = answer.split("\r\n\r\n");
      const length = /content-length: (\d+)/i.exec(head)?.[1];
      if (length !== undefined && body.length >= Number(length)) socket.destroy();
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

for (const bus of buses) {
  describe(`POST /publish over the ${bus.name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let instance: Instance;
    beforeAll(async () => {
      running = await bus.start();
      instance = await Instance.start({ env: { REDIS_URL: running.url } });
    });
    afterAll(async () => {
      await instance.stop();
      await running.stop();
    });

    test("publishes text and binary as they are, and answers with the channel", async () => {
      const client = await instance.join("rooms/a");
      const binary = { "content-type": "application/octet-stream" };
      const bodies: [string | Uint8Array<ArrayBuffer>, Record<string, string>][] = [
        ["hello", {}],
        ['{"a": 1}', { "content-type": "application/json" }],
        ["", { "content-type": "text/plain" }],
        ["\u{feff}测试", { "content-type": "text/plain; charset=utf-8" }],
        [Uint8Array.of(0xff, 0x01), binary],
        ["text as bytes", { "content-type": "Application/Octet-Stream; x=y" }],
      ];
      for (const [body, headers] of bodies) {
        const response = await instance.publish("rooms/a", body, headers);
        expect([response.status, await response.json()]).toEqual([200, { channel: "rooms:a", id: expect.stringMatching(/^\w+-[0-9]+$/) }]);
      }
      expect(await client.receive(6)).toEqual([
        "hello",
        '{"a": 1}',
        "",
        "\u{feff}测试",
        Buffer.from([0xff, 0x01]),
        Buffer.from("text as bytes"),
      ]);
    });

    test("orders what was answered before whatever its sender sends next", async () => {
      const client = await instance.join("rooms/order");
      for (let index = 0; index < 100; index += 1) {
        expect((await instance.publish("rooms/order", `http ${index}`)).status).toBe(200);
        client.send(`ws ${index}`);
        await client.receive(2 * index + 2);
      }
      expect(client.messages).toEqual(Array.from({ length: 200 }, (_, index) => `${index % 2 === 0 ? "http" : "ws"} ${index >> 1}`));
    });

    test("wraps text in the kind's envelope, and refuses binary there", async () => {
      const client = await instance.join("7");
      expect(await (await instance.publish("7", "测试")).json()).toEqual({ channel: "ws_example_user_channel_7", id: null });
      expect(await client.receive(1)).toEqual(['{"type": "user_event", "data": "测试"}']);
      const refused = await instance.publish("7", "x", { "content-type": "application/octet-stream" });
      expect(refused.status).toBe(400);
    });
  });
}

describe("bad input to POST /publish", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.start({ toml: "[limits]\nmax_message_bytes = 1000" });
  });
  afterAll(() => instance.stop());

  test("gets a problem that says what is wrong", async () => {
    const cases: [path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>, status: number][] = [
      ["rooms//a", "x", {}, 400],
      ["no/such", "x", {}, 404],
      ["rooms/a", Uint8Array.of(0xc3, 0x28), {}, 400],
      ["7", "x", { "idempotency-key": "k" }, 400],
      ["rooms/a", "x".repeat(1001), {}, 413],
    ];
    for (const [path, body, headers, status] of cases) {
      const response = await instance.publish(path, body, headers);
      expect([path, response.status, response.headers.get("content-type")]).toEqual([path, status, "application/problem+json"]);
      expect(await response.json()).toEqual({
        type: expect.stringMatching(/^urn:lockstep:problem:[a-z-]+$/),
        title: expect.any(String),
        status,
        detail: expect.any(String),
      });
    }
  });

  test("takes the largest message, however it is sent, and refuses one byte more", async () => {
    const client = await instance.join("rooms/size");
    expect((await instance.publish("rooms/size", "x".repeat(1000))).status).toBe(200);
    const chunked = "POST /publish/rooms/size HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect(await raw(instance.port, `${chunked}3e8\r\n${"y".repeat(1000)}\r\n0\r\n\r\n`)).toStartWith("HTTP/1.1 200");
    expect(await raw(instance.port, `${chunked}3e9\r\n${"z".repeat(1001)}\r\n0\r\n\r\n`)).toStartWith("HTTP/1.1 413");
    expect(await client.receive(2)).toEqual(["x".repeat(1000), "y".repeat(1000)]);
  });

  test("publishes nothing of an upload that was broken off, and goes on", async () => {
    const client = await instance.join("rooms/aborted");
    for (let index = 0; index < 20; index += 1) {
      const socket = connect(instance.port, "127.0.0.1");
      socket.write("POST /publish/rooms/aborted HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nhalf");
      await Bun.sleep(5);
      socket.destroy();
    }
    expect((await instance.publish("rooms/aborted", "whole")).status).toBe(200);
    expect(await client.receive(1)).toEqual(["whole"]);
    expect(instance.log.filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("HTTP", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.start();
  });
  afterAll(() => instance.stop());

  test("says 200 on /livez and /readyz", async () => {
    expect((await fetch(`${instance.url}/livez`)).status).toBe(200);
    expect((await fetch(`${instance.url}/readyz`)).status).toBe(200);
  });

  test.each(["/nothing", "/ws", "/publish", "/livez/x"])("says 404 on %s", async (path) => {
    const response = await fetch(instance.url + path);
    expect([response.status, response.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
  });

  test.each([
    ["POST", "/ws/rooms/a", "GET"],
    ["DELETE", "/ws/rooms/a", "GET"],
    ["GET", "/publish/rooms/a", "POST"],
    ["PUT", "/publish/rooms//", "POST"],
    ["POST", "/livez", "GET"],
    ["OPTIONS", "/readyz", "GET"],
  ])("says 405 to %s %s, and what is allowed", async (method, path, allow) => {
    const response = await fetch(instance.url + path, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
    expect(await response.json()).toMatchObject({ status: 405 });
  });

  test.each(["", "a b", "a/b?c", "<script>", "/", "房间"])(
    "serves the Host %p or says 400, whatever the path's length, and never takes one path for another",
    async (host) => {
      for (const path of ["ws/5", "ws/rooms/a", "aaaaaaaaaaaaaaa/ws/5", "nothing", "nothing/"]) {
        const answer = await raw(instance.port, `GET /${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        const expected =
          answer.startsWith("HTTP/1.1 400") ||
          (path.startsWith("ws/") ? answer.startsWith("HTTP/1.1 426") : answer.startsWith("HTTP/1.1 404"));
        expect([host, path, answer.split("\r\n")[0], expected]).toEqual([host, path, expect.any(String), true]);
      }
    },
  );

  test.each(["livez", "readyz"])("says 200 on /%s to a load balancer that sends no Host", async (path) => {
    expect(await raw(instance.port, `GET /${path} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.[01] 200 OK/);
  });
});

test("pages of any origin may read the answers, and the faults", async () => {
  const instance = await Instance.start();
  const abort = new AbortController();
  const answers = await Promise.all([
    instance.publish("rooms/a", "x"),
    ...["/sse/rooms/a", "/history/rooms/a", "/presence/rooms/a", "/history/no/such"].map((path) =>
      fetch(`${instance.url}${path}`, { headers: { Origin: "http://elsewhere.example" }, signal: abort.signal }),
    ),
  ]);
  expect(answers.map(({ headers }) => headers.get("access-control-allow-origin"))).toEqual(["*", "*", "*", "*", "*"]);
  abort.abort();
  await instance.stop();
});

describe("GET /metrics", () => {
  const names = [
    ["connections", "gauge"],
    ["channels", "gauge"],
    ["bus_up", "gauge"],
    ["publish_queue_messages", "gauge"],
    ["joins_total", "counter"],
    ["refusals_total", "counter"],
    ["messages_published_total", "counter"],
    ["published_bytes_total", "counter"],
    ["messages_delivered_total", "counter"],
    ["delivered_bytes_total", "counter"],
    ["bus_reconnections_total", "counter"],
    ["catch_ups_total", "counter"],
    ["gaps_total", "counter"],
    ["slow_consumers_closed_total", "counter"],
    ["ticks_total", "counter"],
    ["publish_duration_seconds", "histogram"],
    ["event_loop_lag_seconds", "gauge"],
  ];

  test("shows what the instance counts, and what the process costs", async () => {
    const redis = await RedisServer.start();
    const instance = await Instance.start({ env: { REDIS_URL: redis.url } });
    const clients = [await instance.join("rooms/a"), await instance.join("rooms/a"), await instance.join("rooms/b")];
    await Client.ask(instance.port, "/ws/no/such");
    await instance.publish("rooms/a", "四 bytes");
    await clients[1]?.receive(1);
    const response = await fetch(`${instance.url}/metrics`);
    expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    const text = await response.text();
    for (const [name, type] of names) expect(text).toContain(`# TYPE lockstep_${name} ${type}\n`);
    // A counter that appears with its first count does not rise, as Prometheus sees it.
    for (const reason of Object.keys(faults).filter((name) => name !== "no-channel"))
      expect(text).toContain(`\nlockstep_refusals_total{reason="${reason}"} 0\n`);
    for (const name of ["cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "open_fds"]) {
      expect(text).toMatch(new RegExp(`^process_${name} [0-9.e+]+$`, "m"));
    }
    const values = ["connections", "channels", "bus_up", "joins_total", "messages_published_total", "published_bytes_total"];
    const more = [
      "messages_delivered_total",
      "delivered_bytes_total",
      'refusals_total{reason="no-channel"}',
      "publish_duration_seconds_count",
    ];
    const shown = [...values, ...more].map((name) => text.split("\n").find((line) => line.startsWith(`lockstep_${name} `)));
    expect(shown.map((line) => Number(line?.split(" ").at(-1)))).toEqual([3, 2, 1, 3, 1, 9, 2, 18, 1, 1]);
    for (const client of clients) client.destroy();
    await instance.stop();
    await redis.stop();
  });
});
