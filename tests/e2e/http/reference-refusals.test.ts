import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Kind } from "../../../src/channels/kind.ts";
import type { Siblings } from "../../../src/http/context.ts";
import { Log } from "../../../src/log.ts";
import { createServer } from "../../../src/server.ts";
import { exampleOf, send, type Wish } from "../../support/documented-request.ts";
import { configOf, Instance } from "../../support/instance.ts";
import { Raw } from "../../support/raw.ts";
import { RedisServer } from "../../support/redis.ts";
import { Reference, typeOf, type Operation } from "../../support/reference.ts";
import { API_KEY, bearer, SECRET, tokenOf } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

const KEYS = { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY };
const AS_BACKEND: Wish = { headers: bearer(API_KEY) };
const BINARY = "application/octet-stream";
/** What nothing can bring about from outside: there is no part in them that could be made to fail. */
const OUT_OF_REACH = ["disconnect internal", "getConsole internal", "getReference internal"];

const WS = "joinByWebSocket";
const SSE = "joinAsEventStream";
const CHANNEL_ROUTES = [WS, SSE, "publish", "getHistory", "getPresence"];

let reference: Reference;
/** Everything that was brought about: a route, and the fault that it answered with. */
const seen = new Set<string>();

/** Sends the example of a route with something wrong in it, and holds the answer against the reference. */
async function provoke(url: string, operationId: string, fault: string, wrong: Wish = {}): Promise<void> {
  const operation = reference.get(operationId);
  const example = exampleOf(operation);
  const answer = await send(url, operation, {
    ...example,
    ...wrong,
    values: { ...example.values, ...wrong.values },
  });
  const is = answer.body.startsWith("{") ? typeOf(JSON.parse(answer.body)) : `${answer.status}`;
  expect([operationId, is, reference.differences(operation, answer)]).toEqual([operationId, fault, []]);
  seen.add(`${operationId} ${fault}`);
}

async function provokeAll(url: string, operationIds: readonly string[], fault: string, wrong: Wish = {}): Promise<void> {
  await Promise.all(operationIds.map((operationId) => provoke(url, operationId, fault, wrong)));
}

const allRoutes = (): string[] => reference.operations.map(({ operationId }) => operationId);
const inPath = (path: string): Wish => ({ values: { path } });

/** A server that shares its port with others of a kind. */
async function beside(siblings: Siblings): Promise<{ url: string; drain: () => Promise<void> }> {
  const config = configOf({ env: { PORT: "0", HOST: "127.0.0.1" } });
  const { port, drain } = await createServer(config, new Log("error", "json", () => undefined), siblings);
  return { url: `http://127.0.0.1:${port}`, drain };
}

describe("every fault that the reference documents comes from the route that documents it, as documented:", () => {
  let open: Instance;
  let keyed: Instance;
  beforeAll(async () => {
    open = await Instance.start({ toml: "[limits]\nmax_message_bytes = 1000" });
    keyed = await Instance.start({ env: KEYS });
    reference = await Reference.of(open.url);
  });
  afterAll(async () => {
    await open.stop();
    await keyed.stop();
  });

  test("a path that is malformed, or leads nowhere", async () => {
    await provokeAll(open.url, CHANNEL_ROUTES, "malformed-path", inPath("rooms//a"));
    await provokeAll(open.url, CHANNEL_ROUTES, "no-channel", inPath("no/such"));
    await provoke(open.url, "getHistory", "no-history", inPath("7"));
    await provoke(open.url, "getPresence", "no-presence", inPath("7"));
  });

  test("a query or a header that is malformed", async () => {
    await provoke(open.url, WS, "malformed-request", { query: "since=x" });
    await provoke(open.url, WS, "malformed-request", { query: "since=a-1&recent=1" });
    await provoke(open.url, SSE, "malformed-request", { headers: { "Last-Event-ID": "x" } });
    await provoke(open.url, "publish", "malformed-request", { headers: { "Idempotency-Key": "x".repeat(129) } });
    await provoke(open.url, "getHistory", "malformed-request", { query: "limit=0" });
    await provoke(keyed.url, "disconnect", "malformed-request", { ...AS_BACKEND, body: "{" });
    await provoke(open.url, WS, "upgrade-required", { headers: { Upgrade: "h2c" } });
    await provoke(open.url, WS, "upgrade-required", { headers: { "Sec-WebSocket-Version": "8" } });
    await provoke(open.url, WS, "unknown-subprotocol", { headers: { "Sec-WebSocket-Protocol": "chat" } });
  });

  test("a Host that is none", async () => {
    for (const { method, path, operationId } of [...CHANNEL_ROUTES, "getReference"].map((id) => reference.get(id))) {
      const raw = new Raw(open.port, `${method} ${path.replace("{path}", "rooms/a")} HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n`);
      await waitFor("an answer", () => raw.ended);
      expect([path, raw.heard.split("\r\n")[0]]).toEqual([path, "HTTP/1.1 400 Bad Request"]);
      expect(raw.heard).toContain("urn:lockstep:problem:malformed-request");
      seen.add(`${operationId} malformed-request`);
    }
  });

  test("a body that is too large, or not what the channel takes", async () => {
    await provoke(open.url, "publish", "too-large", { body: "x".repeat(1001) });
    await provoke(keyed.url, "disconnect", "too-large", { ...AS_BACKEND, body: "x".repeat(20_000) });
    await provoke(open.url, "publish", "malformed-text", { body: Uint8Array.of(0xc3, 0x28) });
    await provoke(open.url, "publish", "binary-refused", { ...inPath("7"), mediaType: BINARY });
  });

  test("no credential, a bad one, or one without the right", async () => {
    const protectedRoutes = [...CHANNEL_ROUTES, "disconnect", "getMetrics"];
    await provokeAll(keyed.url, protectedRoutes, "unauthorized");
    await provokeAll(keyed.url, protectedRoutes, "unauthorized", { headers: bearer("bad") });
    await provokeAll(keyed.url, protectedRoutes, "forbidden", { headers: bearer(await tokenOf({ sub: "bob", subscribe: ["x"] })) });
  });

  test("a page of another origin", async () => {
    const instance = await Instance.start({ env: { LOCKSTEP_ORIGINS: "https://good.example" } });
    await provokeAll(instance.url, allRoutes(), "foreign-origin", { headers: { Origin: "https://evil.example" } });
    await instance.stop();
  });

  test("too many connections, in all or of an address", async () => {
    for (const [limit, fault] of [
      ["max_connections", "too-many-connections"],
      ["max_connections_per_ip", "too-many-connections-of-address"],
    ] as const) {
      const instance = await Instance.start({ toml: `[limits]\n${limit} = 1` });
      await instance.join("rooms/a");
      await provokeAll(instance.url, [WS, SSE], fault);
      await instance.stop();
    }
  });

  test("processes beside it that are away", async () => {
    const { url, drain } = await beside({
      metrics: () => Promise.resolve(undefined),
      live: () => Promise.resolve(false),
      ready: () => Promise.resolve(false),
    });
    await provokeAll(url, ["getMetrics", "getLiveness", "getReadiness"], "workers-away");
    await drain();
  });

  test("a fault of the server's own", async () => {
    class Throwing extends Kind {
      override match(): never {
        throw new Error("the server's fault");
      }
    }
    const instance = await Instance.start({ kinds: [new Throwing({ path: "{x}" })] });
    await provokeAll(instance.url, CHANNEL_ROUTES, "internal");
    await instance.stop();
    const fail = (): Promise<never> => Promise.reject(new Error("the server's fault"));
    const { url, drain } = await beside({ metrics: fail, live: fail, ready: fail });
    await provokeAll(url, ["getMetrics", "getLiveness", "getReadiness"], "internal");
    await drain();
  });

  test("a bus that is away, does not confirm, or has too much waiting, and an instance that drains", async () => {
    const redis = await RedisServer.start();
    const toml = '[limits]\npublish_timeout = "500ms"\npublish_queue = 1';
    const instance = await Instance.start({ env: { REDIS_URL: redis.url, ...KEYS }, toml });
    const bothQueues = ["publish", "disconnect"];
    redis.pause();
    await provokeAll(instance.url, bothQueues, "not-confirmed", AS_BACKEND);
    redis.resume();
    await waitFor("the bus to be there", () => instance.ready());
    await redis.kill();
    await waitFor("the loss to be noticed", async () => !(await instance.ready()));
    await provokeAll(instance.url, [WS, "getHistory", "getPresence", "getReadiness"], "bus-away", AS_BACKEND);
    for (const operationId of bothQueues) {
      const waits = provoke(instance.url, operationId, "bus-away", AS_BACKEND);
      await waitFor("it to wait", async () => (await instance.metric("lockstep_publish_queue_messages", bearer(API_KEY))) > 0);
      await provoke(instance.url, operationId, "queue-full", AS_BACKEND);
      await waits;
    }
    // A drain waits for what waits for the bus.
    const waits = provoke(instance.url, "publish", "bus-away", AS_BACKEND);
    await waitFor("it to wait", async () => (await instance.metric("lockstep_publish_queue_messages", bearer(API_KEY))) > 0);
    const drained = instance.drain();
    await provokeAll(instance.url, [WS, "publish", "disconnect", "getReadiness"], "draining", AS_BACKEND);
    await waits;
    await drained;
    await redis.stop();
  });

  // What the tests above have brought about is put together here.
  test("and none is documented that was not brought about", () => {
    const documented = reference.operations.flatMap((operation: Operation) =>
      Reference.refusals(operation).map((fault) => `${operation.operationId} ${fault}`),
    );
    expect(documented.filter((one) => !seen.has(one)).toSorted()).toEqual(OUT_OF_REACH);
    expect([...seen].filter((one) => !documented.includes(one))).toEqual([]);
  });
});
