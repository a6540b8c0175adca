import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Kind } from "../../../src/channels/kind.ts";
import type { Message } from "../../../src/message.ts";
import { buses } from "../../bus/buses.ts";
import { Client, frame } from "../../support/client.ts";
import { Instance } from "../../support/instance.ts";
import { waitFor } from "../../support/wait.ts";

const texts = [
  "",
  "hello",
  "测试",
  '{"a": 1}',
  "1.0",
  "007",
  '"quoted"',
  "12345678901234567890",
  "null",
  "true",
  " spaced ",
  "\u{feff}bom",
  "a\u0000b",
  "\r\n",
];
const binaries = [[], [0], [0xff], [0xff, 0x01], [0xff, 0x01, 0x00, 0x01, 0, 0, 0, 1, 65], [0xc3, 0x28], [0x68, 0x69]];

for (const bus of buses) {
  describe(`a WebSocket over the ${bus.name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let instance: Instance;
    beforeAll(async () => {
      running = await bus.start();
      instance = await Instance.start({
        env: { REDIS_URL: running.url },
        toml: `
          [limits]
          max_message_bytes = 1000
          messages_per_second = 100
          [[channels]]
          path = "plain/{name}"
          [[channels]]
          path = "{user_id}"
          name = "ws_example_user_channel_{user_id}"
          params = { user_id = "integer" }
          envelope = '{"type": "user_event", "data": $data}'
          [[channels]]
          path = "json/{name}"
          envelope = '{"from":$sender,"at":$time,"it":$json}'`,
      });
    });
    afterAll(async () => {
      await instance.stop();
      await running.stop();
    });

    test("gives every client of a channel the same bytes and the same kind of frame, the sender too", async () => {
      const sender = await instance.join("plain/bytes");
      const other = await instance.join("plain/bytes");
      for (const text of texts) sender.send(text);
      for (const bytes of binaries) sender.send(Uint8Array.from(bytes));
      const expected = [...texts, ...binaries.map((bytes) => Buffer.from(bytes))];
      expect(await sender.receive(expected.length)).toEqual(expected);
      expect(await other.receive(expected.length)).toEqual(expected);
    });

    test("puts fragments together, with a ping between them", async () => {
      const client = await instance.join("plain/fragments");
      const bytes = Buffer.from("测试");
      client.write(frame(1, bytes.subarray(0, 2), { fin: false }));
      client.write(frame(9, "are you there"));
      client.write(frame(0, bytes.subarray(2)));
      expect(await client.receive(1)).toEqual(["测试"]);
      expect(client.frames[0]).toEqual({ opcode: 10, payload: Buffer.from("are you there") });
    });

    test("keeps channels apart", async () => {
      const names = ["__proto__", "constructor", "*", "%7Btag%7D", "房间", "a%2Fb", "a:b", "a%20b"];
      const clients = await Promise.all(names.map((name) => instance.join(`plain/${encodeURI(decodeURI(name))}`)));
      for (const [index, client] of clients.entries()) client.send(`to ${names[index]}`);
      for (const [index, client] of clients.entries()) expect(await client.receive(1)).toEqual([`to ${names[index]}`]);
    });

    test("puts the text of a user channel in the tutorial's envelope, byte for byte", async () => {
      const client = await instance.join("42");
      for (const text of ["测试", 'say "hi"\\\n', "</script>\u2028"]) client.send(text);
      expect(await client.receive(3)).toEqual([
        '{"type": "user_event", "data": "测试"}',
        String.raw`{"type": "user_event", "data": "say \"hi\"\\\n"}`,
        '{"type": "user_event", "data": "</script>\u2028"}',
      ]);
    });

    test("closes with 1003 who sends binary where an envelope stands", async () => {
      const client = await instance.join("42");
      client.send(Uint8Array.of(1));
      expect(await client.receiveClose()).toBe(1003);
    });

    test("takes valid JSON as it is into an envelope that asks for it, and closes with 1007 what is none", async () => {
      const client = await instance.join("json/a");
      const before = Date.now();
      client.send('{"a": 1.0, "b":12345678901234567890}');
      await client.receive(1);
      client.send('1,"it":2');
      expect(await client.receiveClose()).toBe(1007);
      const [received] = client.messages;
      const at = /^\{"from":null,"at":(\d{13}),"it":\{"a": 1\.0, "b":12345678901234567890\}\}$/.exec(String(received))?.[1];
      expect(Number(at)).toBeGreaterThanOrEqual(before);
      expect(client.messages.length).toBe(1);
    });

    test("closes with 1009 over the largest message, and takes the largest one", async () => {
      const client = await instance.join("plain/size");
      client.send("x".repeat(1000));
      expect(await client.receive(1)).toEqual(["x".repeat(1000)]);
      client.send("x".repeat(1001));
      expect(await client.receiveClose()).toBe(1009);
    });

    test("closes with 1008 over twice the rate in a burst, and lets everything before it through", async () => {
      const client = await instance.join("plain/rate");
      const witness = await instance.join("plain/rate");
      const sinceMs = Date.now();
      for (let index = 0; index < 400; index += 1) client.send(String(index));
      expect(await client.receiveClose()).toBe(1008);
      await waitFor("the burst", () => witness.messages.length >= 200);
      expect(witness.messages).toEqual(witness.messages.map((_, index) => String(index)));
      // A burst of two seconds, and what may be sent meanwhile.
      expect(witness.messages.length).toBeLessThanOrEqual(201 + (Date.now() - sinceMs) / 10);
    });

    const broken: [string, Uint8Array, number][] = [
      ["bad UTF-8", frame(1, Buffer.from([0xff])), 1007],
      ["an unmasked frame", frame(1, "x", { masked: false }), 1002],
      ["a continuation of nothing", frame(0, "x"), 1002],
      ["an opcode that nobody knows", Buffer.from([0x83, 0x80, 0, 0, 0, 0]), 1002],
      ["a reserved bit", Buffer.from([0xc1, 0x80, 0, 0, 0, 0]), 1002],
      ["a control frame in parts", frame(9, "x", { fin: false }), 1002],
      ["a close code that must not be sent", frame(8, Buffer.from([1005 >> 8, 1005 & 255])), 1002],
    ];
    test.each(broken)("closes for %s, and harms nobody else", async (_, bytes, code) => {
      const client = await instance.join("plain/broken");
      const other = await instance.join("plain/broken");
      client.write(bytes);
      expect(await client.receiveClose()).toBe(code);
      other.send("still here");
      expect(await other.receive(1)).toEqual(["still here"]);
    });
  });
}

describe("an opening handshake", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.start();
  });
  afterAll(() => instance.stop());

  async function status(target: string, headers: Record<string, string> = {}): Promise<number> {
    const { client, answer } = await Client.ask(instance.port, target, { headers });
    client.destroy();
    return answer.status;
  }

  test("may be written in the ways that clients write it", async () => {
    expect(await status("/ws/rooms/a", { Upgrade: "WebSocket", Connection: "keep-alive, upgrade" })).toBe(101);
    expect(await status("/ws/rooms/a", { Host: "x" })).toBe(101);
    expect(await status("/ws/rooms/a?token=x&cache=1")).toBe(101);
  });

  test("is 426 without an upgrade or with another version, and says what is spoken", async () => {
    expect(await status("/ws/rooms/a", { Upgrade: "" })).toBe(426);
    expect(await status("/ws/rooms/a", { Connection: "keep-alive" })).toBe(426);
    const { answer } = await Client.ask(instance.port, "/ws/rooms/a", { headers: { "Sec-WebSocket-Version": "8" } });
    expect([answer.status, answer.headers.get("upgrade"), answer.headers.get("sec-websocket-version")]).toEqual([426, "websocket", "13"]);
  });

  test("is 400 without a proper key, or with a subprotocol that nobody speaks", async () => {
    expect(await status("/ws/rooms/a", { "Sec-WebSocket-Key": "" })).toBe(400);
    expect(await status("/ws/rooms/a", { "Sec-WebSocket-Key": "short" })).toBe(400);
    expect(await status("/ws/rooms/a", { "Sec-WebSocket-Protocol": "chat" })).toBe(400);
  });

  test("agrees on the server's own subprotocol, whatever stands beside it, and on none unasked", async () => {
    const { answer } = await Client.ask(instance.port, "/ws/rooms/a", { headers: { "Sec-WebSocket-Protocol": "chat, lockstep" } });
    expect([answer.status, answer.headers.get("sec-websocket-protocol")]).toEqual([101, "lockstep"]);
    const plain = await Client.ask(instance.port, "/ws/rooms/a");
    expect(plain.answer.headers.has("sec-websocket-protocol")).toBe(false);
  });

  test("is answered in the order of the checks", async () => {
    const nothing = { Upgrade: "", "Sec-WebSocket-Protocol": "chat" };
    expect(await status("/ws/rooms//a?since=1", nothing)).toBe(400);
    expect(await status("/ws/no/such/channel?since=1", nothing)).toBe(404);
    expect(await status("/ws/rooms/a?since=1", nothing)).toBe(400);
    expect(await status("/ws/rooms/a", nothing)).toBe(426);
    expect(await status("/ws/rooms/a", { "Sec-WebSocket-Protocol": "chat" })).toBe(400);
  });

  test.each(["since=1", "recent=1", "hello=1"])("is 400 with ?%s on a channel without history", async (query) => {
    expect(await status(`/ws/7?${query}`)).toBe(400);
  });

  const paths: [path: string, status: number][] = [
    ["rooms/a", 101],
    ["ws_example_channel", 101],
    ["0", 101],
    ["9223372036854775807", 101],
    ["rooms/%E6%88%BF%E9%97%B4", 101],
    ["rooms/房间", 101],
    ["rooms/a%2Fb", 101],
    ["rooms/%252e", 101],
    [`rooms/${"x".repeat(255)}`, 101],
    ["rooms/__proto__", 101],
    [`rooms/${"x".repeat(256)}`, 400],
    [`rooms/${"%E6%88%BF".repeat(86)}`, 400],
    ["rooms/", 400],
    ["rooms/a/", 400],
    ["rooms//a", 400],
    ["", 400],
    ["rooms/%ff", 400],
    ["rooms/%zz", 400],
    ["rooms/%", 400],
    ["rooms/%C0%AE", 400],
    ["rooms/%ED%A0%80", 400],
    ["rooms/%00", 400],
    ["rooms/%0A", 400],
    ["rooms/%7F", 400],
    ["rooms/%C2%85", 400],
    ["rooms/..", 400],
    ["rooms/%2e%2E", 400],
    ["rooms/.", 400],
    ["00", 404],
    ["007", 404],
    ["-1", 404],
    ["1e3", 404],
    ["0x1f", 404],
    ["1.0", 404],
    ["92233720368547758070", 404],
    ["rooms", 404],
    ["rooms/a/b", 404],
    ["ROOMS/a", 404],
    ["__proto__", 404],
  ];
  test.each(paths)("for /ws/%s is answered %d", async (path, expected) => {
    expect(await status(`/ws/${path}`)).toBe(expected);
  });
});

describe("a handler that throws", () => {
  class Throwing extends Kind {
    override encode(message: Message): Message {
      if (message === "throw") throw new Error("the handler's fault");
      return message;
    }
  }

  test("harms its own connection only, which is closed with 1011, and is logged once", async () => {
    const instance = await Instance.start({ kinds: [new Throwing({ path: "faulty" })] });
    const victim = await instance.join("faulty");
    const other = await instance.join("faulty");
    victim.send("before");
    await other.receive(1);
    victim.send("throw");
    victim.send("after");
    expect(await victim.receiveClose()).toBe(1011);
    other.send("still here");
    expect(await other.receive(2)).toEqual(["before", "still here"]);
    const response = await instance.publish("faulty", "throw");
    expect([response.status, JSON.stringify(await response.json())]).toEqual([500, expect.not.stringContaining("handler's fault")]);
    const logged = instance.log.filter(({ level }) => level === "error");
    expect(logged.map(({ msg, error }) => [msg, error])).toEqual([
      ["a session failed", "Error: the handler's fault"],
      ["a request failed", "Error: the handler's fault"],
    ]);
    await instance.stop();
  });
});

describe("limits of connections", () => {
  test("refuse the one too many with 503, before its path is looked at, and take it when another has left", async () => {
    const instance = await Instance.start({ toml: "[limits]\nmax_connections = 2" });
    const first = await instance.join("rooms/a");
    await instance.join("rooms/a");
    const { answer } = await Client.ask(instance.port, "/ws/rooms//broken");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
    first.destroy();
    await waitFor("a free place", async () => (await Client.ask(instance.port, "/ws/rooms/b")).answer.status === 101);
    await instance.stop();
  });

  test("refuse too many of one address with 429, and count no refused request", async () => {
    const instance = await Instance.start({ toml: "[limits]\nmax_connections_per_ip = 1" });
    for (const path of ["rooms//", "no/such", "rooms/a?since=1"]) await Client.ask(instance.port, `/ws/${path}`);
    await instance.join("rooms/a");
    const { answer } = await Client.ask(instance.port, "/ws/rooms/a");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "5"]);
    await instance.stop();
  });
});

describe("pings", () => {
  test("come every interval, and cut a client that was silent for two of them", async () => {
    const instance = await Instance.start({ toml: '[server]\nping_interval = "200ms"' });
    const alive = await instance.join("rooms/a");
    const dead = await instance.join("rooms/a", { silent: true });
    const started = Date.now();
    expect(await dead.receiveClose()).toBe(1006);
    expect(Date.now() - started).toBeWithin(300, 5000);
    await waitFor("five pings", () => alive.frames.filter(({ opcode }) => opcode === 9).length >= 5);
    expect(alive.closed).toBe(false);
    await instance.stop();
  });

  test("need no answer from a client that sends something itself", async () => {
    const instance = await Instance.start({ toml: '[server]\nping_interval = "400ms"' });
    const talker = await instance.join("rooms/a", { silent: true });
    for (let index = 1; index <= 60; index += 1) {
      talker.send("noise");
      await Bun.sleep(30);
    }
    expect(await talker.receive(60)).toHaveLength(60);
    expect(talker.closed).toBe(false);
    await instance.stop();
  });

  test("find a dead peer also on a busy channel", async () => {
    const instance = await Instance.start({ toml: '[server]\nping_interval = "200ms"' });
    const dead = await instance.join("rooms/a", { silent: true });
    const busy = await instance.join("rooms/a");
    while (!dead.closed) {
      busy.send("noise");
      await Bun.sleep(10);
    }
    expect(dead.closeCode).toBe(1006);
    expect(busy.closed).toBe(false);
    await instance.stop();
  });
});

describe("a client that does not read", () => {
  test("is closed with 1013 after everything that was sent before, and the others lose nothing", async () => {
    const instance = await Instance.start({ toml: "[limits]\nslow_consumer_bytes = 100000\nmessages_per_second = 0" });
    const slow = await instance.join("rooms/a");
    const fast = await instance.join("rooms/a");
    slow.pause();
    const text = "x".repeat(30_000);
    for (let index = 0; index < 1200; index += 1) {
      fast.send(`${index} ${text}`);
      if (index % 20 === 0) await waitFor("its own echo", () => fast.messages.length >= index);
    }
    await fast.receive(1200);
    slow.resume();
    expect(await slow.receiveClose()).toBe(1013);
    const seen = slow.messages.map((message) => Number(String(message).split(" ")[0]));
    expect(seen.length).toBeWithin(1, 1200);
    expect(seen).toEqual(seen.map((_, index) => index));
    expect(fast.messages.length).toBe(1200);
    await instance.stop();
  });
});
