import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server as HttpServer } from "node:http";
import { Policy } from "../../../src/access/policy.ts";
import { Tokens } from "../../../src/access/tokens.ts";
import { Log } from "../../../src/log.ts";
import { Pattern } from "../../../src/access/pattern.ts";
import { buses } from "../../bus/buses.ts";
import { Client } from "../../support/client.ts";
import { EventClient } from "../../support/event-client.ts";
import { Instance } from "../../support/instance.ts";
import { API_KEY, bearer, compact, EVERYTHING, HOUR_AHEAD, keyPairs, pemOf, SECRET, signed, tokenOf } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

const KEYS = { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY };
const KINDS = `
  [[channels]]
  path = "open/{x}"
  access = "open"
  publish = "open"
  history = {}
  presence = true
  [[channels]]
  path = "news/{x}"
  access = "open"
  publish = "key"
  [[channels]]
  path = "users/{user_id}"
  params = { user_id = "integer" }
  envelope = '{"from": $sender, "data": $data}'
  owner = "user_id"
  presence = true
  history = {}
  [[channels]]
  path = "mine/{who}"
  access = "open"
  publish = "open"
  owner = "who"
  [[channels]]
  path = "rooms/{room}"
  history = {}
  presence = true
  [[channels]]
  path = "rooms/{room}/{topic}"
  [[channels]]
  path = "*"
`;

/** What each of the routes that read answers. */
async function reads(instance: Instance, path: string, headers: Record<string, string> = {}, query = ""): Promise<number[]> {
  const { client, answer } = await Client.ask(instance.port, `/ws/${path}${query}`, { headers });
  client.destroy();
  const others = ["sse", "history", "presence"].map(async (route) => {
    const response = await fetch(`${instance.url}/${route}/${path}${query}`, { headers });
    await response.body?.cancel();
    return response.status;
  });
  return [answer.status, ...(await Promise.all(others))];
}

async function statusOf(instance: Instance, path: string, headers: Record<string, string>): Promise<number> {
  const response = await instance.publish(path, "x", headers);
  await response.text();
  return response.status;
}

describe("a pattern", () => {
  const cases: [pattern: string, yes: string[][], no: string[][]][] = [
    [
      "rooms/lobby",
      [["rooms", "lobby"]],
      [["rooms"], ["rooms", "lobby2"], ["rooms", "Lobby"], ["rooms", "lobby", "x"], ["x", "rooms", "lobby"]],
    ],
    [
      "rooms/*",
      [
        ["rooms", "a"],
        ["rooms", "a/b"],
        ["rooms", "*"],
      ],
      [["rooms"], ["rooms", "a", "b"], ["room", "a"], ["rooms2", "a"]],
    ],
    [
      "rooms/**",
      [
        ["rooms", "a"],
        ["rooms", "a", "b"],
      ],
      [["rooms"], ["roomsx", "a"]],
    ],
    ["**", [["a"], ["a", "b", "c"]], []],
    ["*", [["a"]], [["a", "b"]]],
    ["*/a", [["x", "a"]], [["a"], ["x", "y", "a"], ["x", "b"]]],
    [
      "rooms/a%2Fb",
      [["rooms", "a/b"]],
      [
        ["rooms", "a", "b"],
        ["rooms", "a%2Fb"],
      ],
    ],
    ["rooms/%2A", [["rooms", "*"]], [["rooms", "a"]]],
    ["rooms/测试", [["rooms", "测试"]], [["rooms", "x"]]],
    ["rooms/a*", [["rooms", "a*"]], [["rooms", "ab"]]],
    ["rooms/.*", [["rooms", ".*"]], [["rooms", "ab"]]],
  ];
  test.each(cases)("%s stands for what it says and nothing beside it", (text, yes, no) => {
    const pattern = Pattern.parse(text);
    expect(yes.map((path) => pattern?.matches(path))).toEqual(yes.map(() => true));
    expect(no.map((path) => pattern?.matches(path))).toEqual(no.map(() => false));
  });

  test.each(["", "/rooms", "rooms/", "a//b", "**/a", "rooms/**/x", "rooms/%", "rooms/%ff", "rooms/..", "rooms/\u{1}"])(
    "%p is none, and stands for nothing",
    (text) => {
      expect(Pattern.parse(text)).toBeUndefined();
    },
  );
});

for (const bus of buses) {
  describe(`access over the ${bus.name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let instance: Instance;
    let second: Instance;
    beforeAll(async () => {
      running = await bus.start();
      const setup = { toml: KINDS, env: { REDIS_URL: running.url, ...KEYS } };
      instance = await Instance.start(setup);
      second = bus.name === "memory" ? instance : await Instance.start(setup);
    });
    afterAll(async () => {
      await instance.stop();
      if (second !== instance) await second.stop();
      await running.stop();
    });

    test("takes a token in a header, in the query, or as a subprotocol, and answers with lockstep alone", async () => {
      const token = await tokenOf({ sub: "ann", subscribe: ["rooms/*"] });
      expect(await reads(instance, "rooms/a")).toEqual([401, 401, 401, 401]);
      expect(await reads(instance, "rooms/a", bearer(token))).toEqual([101, 200, 200, 200]);
      expect(await reads(instance, "rooms/a", { authorization: `bEARER   ${token}` })).toEqual([101, 200, 200, 200]);
      expect(await reads(instance, "rooms/a", {}, `?token=${token}`)).toEqual([101, 200, 200, 200]);
      const offers = [`lockstep, lockstep.token.${token}`, `lockstep.token.${token},lockstep`];
      for (const offered of offers) {
        const client = await instance.join("rooms/a", { headers: { "Sec-WebSocket-Protocol": offered } });
        expect(client.headers.get("sec-websocket-protocol")).toBe("lockstep");
      }
      const alone = await Client.ask(instance.port, "/ws/rooms/a", { headers: { "Sec-WebSocket-Protocol": `lockstep.token.${token}` } });
      expect(alone.answer.status).toBe(400);
    });

    test("takes the header before the query, and the query before the subprotocol", async () => {
      const token = await tokenOf({ subscribe: ["rooms/*"] });
      expect(await reads(instance, "rooms/a", bearer("x.y.z"), `?token=${token}`)).toEqual([401, 401, 401, 401]);
      expect(await reads(instance, "rooms/a", bearer(token), "?token=x.y.z")).toEqual([101, 200, 200, 200]);
      const headers = { "Sec-WebSocket-Protocol": `lockstep, lockstep.token.${token}` };
      const { answer } = await Client.ask(instance.port, "/ws/rooms/a?token=x.y.z", { headers });
      expect(answer.status).toBe(401);
    });

    test("tells who may not come what is missing", async () => {
      const none = await fetch(`${instance.url}/history/rooms/a`);
      expect([none.status, none.headers.get("www-authenticate"), none.headers.get("content-type")]).toEqual([
        401,
        'Bearer realm="lockstep"',
        "application/problem+json",
      ]);
      const bad = await fetch(`${instance.url}/history/rooms/a`, { headers: bearer("x") });
      expect([bad.status, bad.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="lockstep", error="invalid_token"']);
      const other = await fetch(`${instance.url}/history/rooms/a`, { headers: bearer(await tokenOf({ subscribe: ["rooms/b"] })) });
      expect([other.status, other.headers.get("www-authenticate")]).toEqual([403, 'Bearer realm="lockstep", error="insufficient_scope"']);
    });

    test("lets a token do what its patterns say, and no more", async () => {
      const reader = bearer(await tokenOf({ sub: "r", subscribe: ["rooms/*"] }));
      const writer = bearer(await tokenOf({ sub: "w", publish: ["rooms/*"] }));
      const bare = bearer(await signed({ exp: HOUR_AHEAD }, SECRET, { alg: "HS256" }));
      expect(await reads(instance, "rooms/a", reader)).toEqual([101, 200, 200, 200]);
      expect(await reads(instance, "rooms/a", writer)).toEqual([403, 403, 403, 403]);
      expect(await reads(instance, "rooms/a", bare)).toEqual([403, 403, 403, 403]);
      expect((await reads(instance, "rooms/a/b", reader))[0]).toBe(403);
      expect((await reads(instance, "rooms/a%2Fb", reader))[0]).toBe(101);
      expect([await statusOf(instance, "rooms/a", reader), await statusOf(instance, "rooms/a", writer)]).toEqual([403, 200]);
      expect(await statusOf(instance, "rooms/a", {})).toBe(401);
    });

    test("asks nobody on an open channel, but takes no bad token either", async () => {
      expect(await reads(instance, "open/a")).toEqual([101, 200, 200, 200]);
      expect(await reads(instance, "open/a", bearer("bad"))).toEqual([401, 401, 401, 401]);
      expect(await reads(instance, "open/a", {}, "?token=bad")).toEqual([401, 401, 401, 401]);
      expect(await reads(instance, "open/a", bearer(await tokenOf({})))).toEqual([101, 200, 200, 200]);
      expect(await reads(instance, "open/a", { authorization: "Basic eDp5" }, "?token=")).toEqual([101, 200, 200, 200]);
      expect(await statusOf(instance, "open/a", {})).toBe(200);
    });

    test("closes who publishes without the right with 3003, and nobody hears it", async () => {
      const token = await tokenOf({ sub: "quiet", subscribe: ["rooms/*"] });
      const quiet = await instance.join("rooms/q", { headers: bearer(token) });
      const other = await second.join("rooms/q", { headers: bearer(token) });
      quiet.send("never heard");
      quiet.send("nor this");
      expect(await quiet.receiveClose()).toBe(3003);
      expect(quiet.closeReason).toBe("");
      const metrics = await (await fetch(`${instance.url}/metrics`, { headers: bearer(API_KEY) })).text();
      expect(metrics).toMatch(/^lockstep_refusals_total\{reason="forbidden"\} [1-9]/m);
      await instance.publish("rooms/q", "after", bearer(API_KEY));
      expect(await other.receive(1)).toEqual(["after"]);
    });

    test("lets everybody watch and only the backend publish where a kind says key", async () => {
      const watcher = await instance.join("news/a");
      expect(await statusOf(instance, "news/a", {})).toBe(401);
      expect(await statusOf(instance, "news/a", bearer(await tokenOf(EVERYTHING)))).toBe(403);
      expect(await statusOf(instance, "news/a", bearer(API_KEY))).toBe(200);
      expect(await watcher.receive(1)).toEqual(["x"]);
      const eager = await instance.join("news/a", { headers: bearer(await tokenOf(EVERYTHING)) });
      eager.send("x");
      expect(await eager.receiveClose()).toBe(3003);
      const backend = await instance.join("news/a", { headers: bearer(API_KEY) });
      backend.send("from the backend");
      expect(await watcher.receive(2)).toEqual(["x", "from the backend"]);
    });

    test("lets only its owner come to a channel that has one", async () => {
      const of = async (sub: string): Promise<Record<string, string>> => bearer(await tokenOf({ sub, ...EVERYTHING }));
      expect(await reads(instance, "users/7", await of("7"))).toEqual([101, 200, 200, 200]);
      for (const sub of ["07", "7 ", " 7", "+7", "7.0", "70", "７", "users/7"]) {
        expect([sub, await reads(instance, "users/7", await of(sub))]).toEqual([sub, [403, 403, 403, 403]]);
        expect([sub, await statusOf(instance, "users/7", await of(sub))]).toEqual([sub, 403]);
      }
      expect(await reads(instance, "users/07", await of("07"))).toEqual([404, 404, 404, 404]);
      expect(await reads(instance, "users/7", bearer(await tokenOf(EVERYTHING)))).toEqual([403, 403, 403, 403]);
      expect(await reads(instance, "users/7", bearer(await tokenOf({ sub: "7" })))).toEqual([403, 403, 403, 403]);
      expect(await reads(instance, "users/7", bearer(API_KEY))).toEqual([101, 200, 200, 200]);
      const own = await instance.join("users/7", { headers: await of("7") });
      own.send('", "from": "8');
      expect(await own.receive(1)).toEqual(['{"from": "7", "data": "\\", \\"from\\": \\"8"}']);
      await instance.publish("users/7", "b", bearer(API_KEY));
      expect((await own.receive(2))[1]).toBe('{"from": null, "data": "b"}');
    });

    test("asks for the owner on a channel that is open otherwise", async () => {
      expect((await reads(instance, "mine/ann"))[0]).toBe(401);
      expect((await reads(instance, "mine/ann", bearer(await tokenOf({ sub: "bob" }))))[0]).toBe(403);
      expect((await reads(instance, "mine/ann", bearer(await tokenOf({ sub: "ann" }))))[0]).toBe(101);
      expect(await statusOf(instance, "mine/ann", bearer(await tokenOf({ sub: "ann" })))).toBe(200);
    });

    test("lets the API key do everything, as a Bearer token only", async () => {
      expect(await reads(instance, "rooms/a", bearer(API_KEY))).toEqual([101, 200, 200, 200]);
      expect(await reads(instance, "rooms/a", {}, `?token=${API_KEY}`)).toEqual([401, 401, 401, 401]);
      const headers = { "Sec-WebSocket-Protocol": `lockstep, lockstep.token.${API_KEY}` };
      expect((await Client.ask(instance.port, "/ws/rooms/a", { headers })).answer.status).toBe(401);
      for (const wrong of [API_KEY.slice(0, -1), `${API_KEY}x`, API_KEY.toUpperCase(), ""]) {
        expect(await reads(instance, "rooms/a", bearer(wrong))).toEqual([401, 401, 401, 401]);
      }
    });

    test("shows the metrics to the API key alone, and health to everybody", async () => {
      const status = async (path: string, headers = {}): Promise<number> => (await fetch(`${instance.url}${path}`, { headers })).status;
      expect(await status("/metrics")).toBe(401);
      expect(await status("/metrics", bearer(await tokenOf(EVERYTHING)))).toBe(403);
      expect(await status("/metrics", bearer(API_KEY))).toBe(200);
      expect([await status("/livez", bearer("bad")), await status("/readyz", bearer("bad"))]).toEqual([200, 200]);
    });

    test("names those present by their subjects, on all instances, and counts the others", async () => {
      const ann = bearer(await tokenOf({ sub: "ann", ...EVERYTHING }));
      const bob = bearer(await tokenOf({ sub: "n", ...EVERYTHING }));
      const clients = await Promise.all([
        instance.join("rooms/p", { headers: ann }),
        second.join("rooms/p", { headers: ann }),
        second.join("rooms/p", { headers: bob }),
        instance.join("rooms/p", { headers: bearer(await tokenOf(EVERYTHING)) }),
        instance.join("rooms/p", { headers: bearer(API_KEY) }),
      ]);
      const stream = await EventClient.open(`${instance.url}/sse/rooms/p`, bob);
      const present = async (): Promise<unknown> => (await fetch(`${second.url}/presence/rooms/p`, { headers: ann })).json();
      const members = expect.arrayContaining([
        { id: "ann", connections: 2 },
        { id: "n", connections: 2 },
      ]);
      let last: unknown;
      await waitFor("everybody to be present", async () => {
        last = await present();
        return JSON.stringify(last).includes('"count":6');
      });
      expect(last).toEqual({ channel: "rooms:p", count: 6, members });
      stream.close();
      for (const client of clients) client.destroy();
      await waitFor("nobody to be present", async () => JSON.stringify(await present()).includes('"count":0,"members":[]'));
    });

    test("closes a connection with 3000 when its token expires, and ends its streams", async () => {
      const exp = Math.floor(Date.now() / 1000) + 4;
      const headers = bearer(await signed({ exp, lockstep: EVERYTHING }, SECRET, { alg: "HS256" }));
      const client = await instance.join("rooms/e", { headers });
      const lasting = await instance.join("rooms/e", { headers: bearer(await tokenOf(EVERYTHING)) });
      const stream = await EventClient.open(`${instance.url}/sse/rooms/e`, headers);
      client.send("in time");
      await client.receive(1);
      expect(await client.receiveClose()).toBe(3000);
      expect(Date.now() - exp * 1000).toBeWithin(-1000, 5000);
      expect(client.closeReason).toMatch(/^\w+-1$/);
      await waitFor("the stream to end", () => stream.ended);
      expect(await reads(instance, "rooms/e", headers)).toEqual([401, 401, 401, 401]);
      expect(lasting.closed).toBe(false);
    });

    test("checks in the contract's order", async () => {
      const bad = bearer("bad");
      const ask = async (path: string, headers: Record<string, string>): Promise<number> => {
        const { client, answer } = await Client.ask(instance.port, `/ws/${path}`, { headers });
        client.destroy();
        return answer.status;
      };
      const poor = bearer(await tokenOf({ sub: "x" }));
      const good = bearer(await tokenOf(EVERYTHING));
      const plain = { Upgrade: "", Connection: "" };
      const odd = { "Sec-WebSocket-Protocol": "odd" };
      expect(await ask("rooms/%", bad)).toBe(400);
      expect(await ask("nowhere/a/b/c", bad)).toBe(404);
      expect(await ask("rooms/a?recent=x", { ...bad, ...plain, ...odd })).toBe(401);
      expect(await ask("rooms/a?recent=x", { ...poor, ...plain, ...odd })).toBe(403);
      expect(await ask("rooms/a?recent=x", { ...good, ...plain, ...odd })).toBe(400);
      expect(await ask("rooms/a", { ...good, ...plain, ...odd })).toBe(426);
      expect(await ask("rooms/a", { ...good, ...odd })).toBe(400);
      const publish = (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>, path = "users/7") =>
        instance.publish(path, body, { "content-type": "application/octet-stream", "idempotency-key": "x".repeat(200), ...headers });
      expect((await publish(bad, "x".repeat(100_000))).status).toBe(401);
      expect((await publish(poor, "x".repeat(100_000))).status).toBe(403);
      expect((await publish(bearer(API_KEY), "x")).status).toBe(400);
    });
  });
}

describe("a token", () => {
  const rsa = keyPairs.RS256();
  const foreign = keyPairs.RS256();
  let instance: Instance;
  let keyed: Instance;
  beforeAll(async () => {
    instance = await Instance.start({ toml: KINDS, env: KEYS });
    keyed = await Instance.start({ toml: `[auth]\npublic_key = """\n${pemOf(rsa.publicKey)}"""\n${KINDS}` });
  });
  afterAll(async () => {
    await instance.stop();
    await keyed.stop();
  });
  const claims = { sub: "7", exp: HOUR_AHEAD, lockstep: EVERYTHING };
  const hs = { alg: "HS256" };

  test("that is genuine opens the door", async () => {
    expect(await reads(instance, "users/7", bearer(await signed(claims, SECRET, hs)))).toEqual([101, 200, 200, 200]);
    expect((await reads(keyed, "users/7", bearer(await signed(claims, rsa.privateKey, { alg: "RS256" }))))[0]).toBe(101);
  });

  test("that is forged, expired, of another form or cut short is 401 on every route, with nothing published", async () => {
    const good = await signed(claims, SECRET, hs);
    const [head = "", body = "", signature = ""] = good.split(".");
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const forged: [what: string, token: string][] = [
      ["no signature", compact({ alg: "none" }, claims, "")],
      ["none in capitals", compact({ alg: "NONE" }, claims, "")],
      ["none with a signature", compact({ alg: "none" }, claims, signature)],
      ["another secret", await signed(claims, `${SECRET}x`, hs)],
      ["another algorithm of the same secret", await signed(claims, SECRET, { alg: "HS512" })],
      ["a foreign key", await signed(claims, foreign.privateKey, { alg: "RS256" })],
      ["the public key as the secret", await signed(claims, pemOf(rsa.publicKey), hs)],
      ["other claims under the signature", `${head}.${part({ ...claims, sub: "8" })}.${signature}`],
      ["another header", `${part({ alg: "HS256", typ: "x" })}.${body}.${signature}`],
      ["a cut signature", good.slice(0, -4)],
      ["no signature at all", `${head}.${body}`],
      ["an empty signature", `${head}.${body}.`],
      ["one part too many", `${good}.x`],
      ["a header that is no JSON", `${Buffer.from("{").toString("base64url")}.${body}.${signature}`],
      ["a header that is null", compact(null, claims, signature)],
      ["claims that are a list", await signedRaw("[1]")],
      ["claims that are no JSON", await signedRaw("{")],
      ["an unknown critical header", await crit()],
      ["expired", await signed({ ...claims, exp: Math.floor(Date.now() / 1000) - 1 }, SECRET, hs)],
      ["no exp", await signed({ sub: "7", lockstep: EVERYTHING }, SECRET, hs)],
      ["an exp that is a text", await signed({ ...claims, exp: String(HOUR_AHEAD) }, SECRET, hs)],
      ["an endless exp", await signedRaw('{"sub":"7","exp":1e999,"lockstep":{"subscribe":["**"],"publish":["**"]}}')],
      ["not valid yet", await signed({ ...claims, nbf: HOUR_AHEAD }, SECRET, hs)],
      ["a sub that is a number", await signed({ ...claims, sub: 7 }, SECRET, hs)],
      ["an empty sub", await signed({ ...claims, sub: "" }, SECRET, hs)],
      [
        "a sub with half a character",
        await signedRaw(`{"sub":"7\\ud800","exp":${HOUR_AHEAD},"lockstep":{"subscribe":["**"],"publish":["**"]}}`),
      ],
      ["a sub that is null", await signed({ ...claims, sub: null }, SECRET, hs)],
      ["rights that are a text", await signed({ ...claims, lockstep: "**" }, SECRET, hs)],
      ["patterns that are a text", await signed({ ...claims, lockstep: { subscribe: "**" } }, SECRET, hs)],
      ["patterns that are numbers", await signed({ ...claims, lockstep: { subscribe: [7], publish: [7] } }, SECRET, hs)],
      ["nothing", "."],
      ["a long one", `${head}.${"A".repeat(8000)}.${signature}`],
    ];
    for (const [what, token] of forged) {
      for (const server of [instance, keyed]) {
        expect([what, await reads(server, "users/7", bearer(token))]).toEqual([what, [401, 401, 401, 401]]);
        expect([what, await statusOf(server, "users/7", bearer(token))]).toEqual([what, 401]);
      }
    }
    const kept: unknown = await (await fetch(`${instance.url}/history/users/7`, { headers: bearer(API_KEY) })).json();
    expect(kept).toMatchObject({ messages: [] });
  });

  test("of a key opens with its own algorithm only", async () => {
    const asSecret = await signed(claims, pemOf(rsa.publicKey), hs);
    expect((await reads(keyed, "users/7", bearer(asSecret)))[0]).toBe(401);
    expect((await reads(keyed, "users/7", bearer(await signed(claims, rsa.privateKey, { alg: "RS512" }))))[0]).toBe(401);
    expect((await reads(keyed, "users/7", bearer(await signed(claims, rsa.privateKey, { alg: "PS256" }))))[0]).toBe(401);
  });

  test("never appears in a log, wherever it came", async () => {
    const token = await tokenOf({ sub: "logged", subscribe: ["rooms/*"] });
    const bad = `${token.slice(0, -6)}AAAAAA`;
    for (const one of [token, bad, API_KEY]) {
      await reads(instance, "rooms/log", bearer(one));
      await reads(instance, "rooms/log", {}, `?token=${one}`);
      await reads(instance, "nowhere/at/all/x", {}, `?token=${one}`);
      await fetch(`${instance.url}/nothing?token=${one}`);
      await Client.ask(instance.port, "/ws/rooms/log", { headers: { "Sec-WebSocket-Protocol": `lockstep, lockstep.token.${one}` } });
      await Client.ask(instance.port, `/ws/rooms/log?token=${one}`, { headers: { Host: "!!" } });
    }
    const client = await instance.join("rooms/log", { headers: bearer(token) });
    client.send("x");
    await client.receiveClose();
    await waitFor("the end in the log", () => instance.log.some(({ msg, sub }) => msg === "connection closed" && sub === "logged"));
    const log = JSON.stringify(instance.log);
    for (const secret of [token, bad, API_KEY, SECRET, token.split(".")[2] ?? ""]) expect(log).not.toContain(secret);
    expect(instance.log).toContainEqual(
      expect.objectContaining({ msg: "refused", reason: "forbidden", sub: "logged", where: "rooms:log" }),
    );
  });

  async function signedRaw(body: string): Promise<string> {
    const { CompactSign } = await import("jose");
    return new CompactSign(new TextEncoder().encode(body)).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(SECRET));
  }

  async function crit(): Promise<string> {
    const { CompactSign } = await import("jose");
    const header = { alg: "HS256", crit: ["odd"], odd: 1 };
    return new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
      .setProtectedHeader(header)
      .sign(new TextEncoder().encode(SECRET), { crit: { odd: true } });
  }
});

test.each(["RS256", "ES256", "EdDSA"] as const)("a public key for %s lets its tokens in, and no others", async (alg) => {
  const pair = keyPairs[alg]();
  const instance = await Instance.start({ toml: `[auth]\npublic_key = """${pemOf(pair.publicKey)}"""\n${KINDS}` });
  const claims = { sub: "7", exp: HOUR_AHEAD, lockstep: EVERYTHING };
  expect(await reads(instance, "users/7", bearer(await signed(claims, pair.privateKey, { alg })))).toEqual([101, 200, 200, 200]);
  expect((await reads(instance, "users/7", bearer(await signed(claims, keyPairs[alg]().privateKey, { alg }))))[0]).toBe(401);
  await instance.stop();
});

describe("keys behind a url", () => {
  let server: HttpServer;
  let url: string;
  let keys: object[] = [];
  let asked = 0;
  let broken: "no" | "500" | "not json" | "endless" | "silent" = "no";
  let instance: Instance;
  const claims = { sub: "7", exp: HOUR_AHEAD, lockstep: EVERYTHING };
  const pair = (kid: string, alg: keyof typeof keyPairs = "ES256") => {
    const { publicKey, privateKey } = keyPairs[alg]();
    return { jwk: { ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig" }, privateKey, header: { alg, kid } };
  };
  const joins = async (token: string, at = instance): Promise<number> => {
    const { client, answer } = await Client.ask(at.port, "/ws/users/7", { headers: bearer(token) });
    client.destroy();
    return answer.status;
  };

  beforeAll(async () => {
    server = createServer((_, response) => {
      asked += 1;
      if (broken === "silent") return;
      response.writeHead(broken === "500" ? 500 : 200, { "content-type": "application/json" });
      if (broken === "endless") response.write(Buffer.alloc(2 ** 21, " "));
      response.end(broken === "not json" ? "<html>" : JSON.stringify({ keys }));
    }).listen(0, "127.0.0.1");
    await waitFor("the keys' server", () => server.listening);
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/jwks`;
    instance = await Instance.start({ toml: `[auth]\njwks_url = "${url}"\n${KINDS}` });
  });
  afterAll(async () => {
    await instance.stop();
    server.closeAllConnections();
    server.close();
  });

  test("are kept, fetched again for an unknown one, and not for every token that strangers make up", async () => {
    const [one, two] = [pair("one"), pair("two", "EdDSA")];
    keys = [one.jwk];
    for (let index = 0; index < 5; index += 1) expect(await joins(await signed(claims, one.privateKey, one.header))).toBe(101);
    expect(asked).toBe(1);
    keys = [two.jwk];
    expect(await joins(await signed(claims, two.privateKey, two.header))).toBe(101);
    expect(asked).toBe(2);
    expect(await joins(await signed(claims, one.privateKey, one.header))).toBe(401);
    const before = asked;
    const made = Array.from({ length: 50 }, async (_, index) =>
      joins(await signed(claims, pair("x").privateKey, { alg: "ES256", kid: `made up ${index}` })),
    );
    expect(new Set(await Promise.all(made))).toEqual(new Set([401]));
    expect(asked - before).toBeLessThan(10);
    // One who comes with a key that is new right then does not suffer for it.
    keys = [one.jwk, two.jwk];
    expect(await joins(await signed(claims, one.privateKey, one.header))).toBe(101);
    expect(await joins(await signed(claims, two.privateKey, two.header))).toBe(101);
  });

  test("are tried each where a token does not name its own", async () => {
    const [one, two] = [pair("a"), pair("b")];
    keys = [one.jwk, two.jwk];
    const at = await Instance.start({ toml: `[auth]\njwks_url = "${url}"\n${KINDS}` });
    for (const { privateKey } of [one, two]) expect(await joins(await signed(claims, privateKey, { alg: "ES256" }), at)).toBe(101);
    expect(await joins(await signed(claims, pair("c").privateKey, { alg: "ES256" }), at)).toBe(401);
    // Nor can such a token say that its key is new.
    const three = pair("d");
    keys = [three.jwk];
    expect(await joins(await signed(claims, three.privateKey, { alg: "ES256" }), at)).toBe(101);
    expect(await joins(await signed(claims, one.privateKey, { alg: "ES256" }), at)).toBe(401);
    await at.stop();
  });

  test("leave nothing behind of a stream whose client does not wait for them", async () => {
    const one = pair("one");
    keys = [one.jwk];
    const at = await Instance.start({ toml: `[auth]\njwks_url = "${url}"\n${KINDS}`, env: { LOCKSTEP_API_KEY: API_KEY } });
    broken = "silent";
    const before = asked;
    const abort = new AbortController();
    const headers = bearer(await signed(claims, one.privateKey, one.header));
    const gone = fetch(`${at.url}/sse/open/a`, { headers, signal: abort.signal }).catch(() => "aborted");
    await waitFor("the question", () => asked > before);
    abort.abort();
    expect(await gone).toBe("aborted");
    broken = "no";
    server.closeAllConnections();
    await waitFor("its place to be free", async () => (await at.metric("lockstep_connections", bearer(API_KEY))) === 0);
    await at.stop();
  });

  test.each(["500", "not json", "endless", "silent"] as const)(
    "that cannot be had (%s) open no door, and the log says so once",
    async (how) => {
      const one = pair("one");
      keys = [one.jwk];
      const at = await Instance.start({ toml: `[auth]\njwks_url = "${url}"\n${KINDS}`, env: { LOCKSTEP_API_KEY: API_KEY } });
      broken = how;
      const token = await signed(claims, one.privateKey, one.header);
      const since = Date.now();
      expect(await Promise.all([joins(token, at), joins(token, at)])).toEqual([401, 401]);
      expect(Date.now() - since).toBeLessThan(15_000);
      expect(await joins(compact({ alg: "none" }, claims, ""), at)).toBe(401);
      expect(await joins(API_KEY, at)).toBe(101);
      broken = "no";
      expect(at.log.filter(({ msg }) => String(msg).includes("keys cannot be had")).length).toBe(1);
      await waitFor("the keys", async () => (await joins(token, at)) === 101);
      await at.stop();
    },
  );
});

describe("without keys", () => {
  test("everything is open, tokens are not looked at, and the metrics are shown", async () => {
    const instance = await Instance.start();
    expect(await reads(instance, "rooms/a", bearer("whatever"))).toEqual([101, 200, 200, 200]);
    expect(await statusOf(instance, "rooms/a", {})).toBe(200);
    expect((await fetch(`${instance.url}/metrics`)).status).toBe(200);
    await instance.stop();
  });

  test("what asks for a token all the same stays shut", async () => {
    const instance = await Instance.start({
      toml: '[[channels]]\npath = "a"\naccess = "token"\n[[channels]]\npath = "b"\npublish = "key"',
    });
    expect((await reads(instance, "a"))[0]).toBe(401);
    expect((await reads(instance, "b"))[0]).toBe(101);
    expect(await statusOf(instance, "b", {})).toBe(401);
    await instance.stop();
  });

  test("but with the API key alone, the built-in channels are for the backend", async () => {
    const instance = await Instance.start({ env: { LOCKSTEP_API_KEY: API_KEY } });
    expect(await reads(instance, "rooms/a")).toEqual([401, 401, 401, 401]);
    expect(await reads(instance, "rooms/a", bearer(await tokenOf(EVERYTHING)))).toEqual([401, 401, 401, 401]);
    expect(await reads(instance, "rooms/a", bearer(API_KEY))).toEqual([101, 200, 200, 200]);
    await instance.stop();
  });
});

test("the API key is told from others that are as long or not", async () => {
  const none = { jwtSecret: "", publicKey: undefined, jwksUrl: "", apiKey: "" };
  const access = new Policy(new Tokens(none, new Log("error", "json", () => undefined)), "abc");
  const caller = await access.identify({ token: "abc", mayBeKey: true });
  expect([caller.by, access.accepts(caller), access.withKey("abd").accepts(caller)]).toEqual(["key", true, false]);
  for (const token of ["abd", "ab", "abcd", ""]) {
    const fault = await access.identify({ token, mayBeKey: true }).catch((error: unknown) => error);
    expect(fault).toMatchObject({ fault: "unauthorized" });
  }
});

test("who is refused gives the place back", async () => {
  const instance = await Instance.start({ toml: `${KINDS}[limits]\nmax_connections = 1`, env: KEYS });
  const poor = bearer(await tokenOf({ sub: "x" }));
  for (let index = 0; index < 3; index += 1) {
    for (const headers of [{}, bearer("bad"), poor]) {
      const expected = headers === poor ? 403 : 401;
      expect((await Client.ask(instance.port, "/ws/rooms/a", { headers })).answer.status).toBe(expected);
      expect((await fetch(`${instance.url}/sse/rooms/a`, { headers })).status).toBe(expected);
    }
    for (const path of ["/ws/nowhere/at/all/x", "/ws/open/a?recent=x", "/sse/open/a?recent=x"]) {
      expect([404, 400]).toContain((await Client.ask(instance.port, path)).answer.status);
    }
  }
  const client = await instance.join("open/a");
  expect((await Client.ask(instance.port, "/ws/open/a")).answer.status).toBe(503);
  client.destroy();
  await instance.stop();
});
