import { EventClient } from "../../support/event-client.ts";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import { Client } from "../../support/client.ts";
import { run, Server } from "../../support/executable.ts";
import { waitFor } from "../../support/wait.ts";
import { bearer, EVERYTHING, HOUR_AHEAD, keyPairs, pemOf, signed } from "../../support/tokens.ts";
import { freePort, RedisServer } from "../../support/redis.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);

function file(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "lockstep-file-")), "lockstep.toml");
  writeFileSync(path, text);
  return path;
}

describe("the executable, alone in an empty folder", () => {
  test("serves on the port that its log names, and ends with 0 on SIGTERM and on SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const server = await Server.start();
      expect(server.log.find(({ msg }) => msg === "listening")).toMatchObject({ url: `http://0.0.0.0:${server.port}/`, pid: server.pid });
      expect(server.log.filter(({ level, msg }) => level === "warn" && String(msg).includes("no keys")).length).toBe(1);
      const client = await Client.join(server.port, "/ws/42");
      client.send("测试");
      expect(await client.receive(1)).toEqual(['{"type": "user_event", "data": "测试"}']);
      const ended = server.end(signal);
      expect(await client.receiveClose()).toBe(1001);
      expect(await ended).toBe(0);
    }
  });

  test("ends at once when nothing waits, also while Redis is away, and says that it listens at every level", async () => {
    const server = await Server.start({ REDIS_URL: `redis://127.0.0.1:${await freePort()}`, LOG_LEVEL: "error" });
    const since = Date.now();
    expect(await server.end()).toBe(0);
    expect(Date.now() - since).toBeLessThan(5000);
  });

  test("is one system with another over Redis", async () => {
    const redis = await RedisServer.start();
    const [one, two] = await Promise.all([Server.start({ REDIS_URL: redis.url }), Server.start({ REDIS_URL: redis.url })]);
    const clients = await Promise.all([one, two].map((server) => Client.join(server.port, "/ws/rooms/a")));
    await fetch(`${one.url}/publish/rooms/a`, { method: "POST", body: "hello" });
    for (const client of clients) expect(await client.receive(1)).toEqual(["hello"]);
    expect(await Promise.all([one.end(), two.end()])).toEqual([0, 0]);
    await redis.stop();
  });

  test("holds all that it needs for history, presence, event streams, metrics and the reference", async () => {
    const redis = await RedisServer.start();
    for (const env of [{}, { REDIS_URL: redis.url }]) {
      const server = await Server.start(env);
      const get = async (path: string): Promise<string> => (await fetch(`${server.url}${path}`)).text();
      await fetch(`${server.url}/publish/rooms/a`, { method: "POST", body: "kept" });
      expect(await get("/history/rooms/a")).toContain('"text":"kept"');
      const stream = await EventClient.open(`${server.url}/sse/rooms/a?recent=1`);
      expect((await stream.receive(1))[0]?.data).toBe("kept");
      expect(await get("/presence/rooms/a")).toContain('"count":1');
      expect(await get("/metrics")).toMatch(/^lockstep_connections 1$/m);
      expect(JSON.parse(await get("/openapi/json"))).toMatchObject({ info: { version: manifest.version } });
      stream.close();
      expect(await server.end()).toBe(0);
    }
    await redis.stop();
  });

  test("says in one line that its port is taken, and ends with 1", async () => {
    const server = await Server.start();
    const second = await run([], { PORT: String(server.port) });
    expect(second).toEqual({ code: 1, stdout: "", stderr: `lockstep: port ${server.port} on 0.0.0.0 is taken\n` });
    await server.end();
  });

  test("reads nothing of the folder that it stands in", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-env-"));
    writeFileSync(join(folder, ".env"), "PORT=1\nLOG_LEVEL=loud\n");
    // A package that a dependency takes where it finds it.
    mkdirSync(join(folder, "node_modules/bufferutil"), { recursive: true });
    writeFileSync(join(folder, "node_modules/bufferutil/index.js"), "process.exit(9)");
    const { code } = await run(["check", file("")]);
    expect(code).toBe(0);
    const inside = await Server.start({}, folder);
    expect(inside.port).toBeGreaterThan(1);
    await inside.end();
  });

  test("names every fault of its configuration, and ends with 2", async () => {
    const config = file("[server]\nport = -1\nwhat = 1");
    for (const result of [await run(["--config", config]), await run([], { LOCKSTEP_CONFIG: config }), await run(["check", config])]) {
      expect([result.code, result.stdout]).toEqual([2, ""]);
      expect(result.stderr.trimEnd().split("\n").toSorted()).toEqual([
        "lockstep: server.port: found -1, allowed: an integer from 0 to 65535",
        expect.stringMatching(/^lockstep: server\.what: found 1, allowed: one of host, /),
      ]);
    }
  });

  test("takes --config before LOCKSTEP_CONFIG", async () => {
    const { stderr } = await run(["serve", "--config", "/no/such/one"], { LOCKSTEP_CONFIG: "/no/such/two" });
    expect(stderr).toContain("/no/such/one");
    expect(stderr).not.toContain("two");
  });

  test("checks a file", async () => {
    const config = file('[[channels]]\npath = "a/{b}"');
    expect(await run(["check", config])).toEqual({ code: 0, stdout: `${config}: valid, 1 kind of channel, 0 broadcasts\n`, stderr: "" });
  });

  test("tells its version and its words", async () => {
    expect(await run(["--version"])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
    const help = await run(["--help"]);
    expect([help.code, help.stderr]).toEqual([0, ""]);
    for (const word of ["serve", "check", "healthcheck", "--config", "Exit codes"]) expect(help.stdout).toContain(word);
  });

  test.each([
    [["frobnicate"]],
    [["--frobnicate"]],
    [["serve", "twice"]],
    [["check"]],
    [["check", "a", "b"]],
    [["healthcheck", "x"]],
    [["publish"]],
    [["worker"]],
    [["check", "a", "--config", "b"]],
    [["serve", "--sub", "x"]],
    [["token", "--ttl", "5"]],
    [["token", "--ttl", "0s"]],
    [["token", "--sub="]],
    [["token", "--publish", "a/**/b"]],
    [["token", "word"]],
    [["token"]],
    [["--config="]],
  ])("ends with 2 and one line for the words %p", async (words) => {
    const { code, stdout, stderr } = await run(words);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^lockstep: [^\n]+\n$/);
  });

  test("writes tokens that the server takes", async () => {
    const env = { LOCKSTEP_JWT_SECRET: "a secret of more than thirty-two bytes" };
    const { code, stdout, stderr } = await run(
      ["token", "--sub", "alice", "--subscribe", "rooms/*", "--publish", "rooms/a", "--publish=x/**", "--ttl", "90d"],
      env,
    );
    expect([code, stderr]).toEqual([0, ""]);
    const claims: unknown = JSON.parse(Buffer.from(stdout.split(".")[1] ?? "", "base64url").toString());
    const now = Math.floor(Date.now() / 1000);
    expect(claims).toMatchObject({ sub: "alice", lockstep: { subscribe: ["rooms/*"], publish: ["rooms/a", "x/**"] } });
    expect(Math.abs(Object(claims).exp - now - 90 * 86_400)).toBeLessThan(60);
    const server = await Server.start(env);
    const headers = { authorization: `Bearer ${stdout.trim()}` };
    const ask = async (path: string): Promise<number> => (await fetch(`${server.url}${path}`, { headers })).status;
    expect([await ask("/history/rooms/b"), await ask("/history/7"), await ask("/metrics")]).toEqual([200, 404, 403]);
    expect(server.log.filter(({ msg }) => String(msg).includes("no keys"))).toEqual([]);
    expect(await server.end()).toBe(0);
    const fromFile = await run(["token", "--config", file('[auth]\njwt_secret = "from the file"')]);
    expect([fromFile.code, fromFile.stdout.split(".").length]).toEqual([0, 3]);
    expect(fromFile.stderr).toBe("lockstep: this token allows nothing; --subscribe and --publish say where it does\n");
  });

  test("ends after a drain, though somebody had come with a token meanwhile", async () => {
    const { publicKey, privateKey } = keyPairs.ES256();
    let answer: (() => void) | undefined;
    const keys = Bun.serve({
      port: 0,
      fetch: () =>
        new Promise<Response>((resolve) => (answer = () => resolve(Response.json({ keys: [publicKey.export({ format: "jwk" })] })))),
    });
    const server = await Server.start({ LOCKSTEP_CONFIG: file(`[auth]\njwks_url = "${keys.url.href}"`) });
    const headers = bearer(await signed({ exp: HOUR_AHEAD, lockstep: EVERYTHING }, privateKey, { alg: "ES256" }));
    const stream = fetch(`${server.url}/sse/rooms/a`, { headers }).catch(() => "cut");
    await waitFor("the question", () => answer !== undefined);
    const ended = server.end();
    await waitFor("the drain", () => server.log.some(({ msg }) => msg === "draining"));
    answer?.();
    expect(await ended).toBe(0);
    await stream;
    await keys.stop(true);
  });

  test("takes tokens of a key and of keys behind a url", async () => {
    const { publicKey, privateKey } = keyPairs.EdDSA();
    const keys = Bun.serve({ port: 0, fetch: () => Response.json({ keys: [publicKey.export({ format: "jwk" })] }) });
    const headers = bearer(await signed({ exp: HOUR_AHEAD, lockstep: EVERYTHING }, privateKey, { alg: "EdDSA" }));
    for (const auth of [`public_key = """${pemOf(publicKey)}"""`, `jwks_url = "${keys.url.href}"`]) {
      const server = await Server.start({ LOCKSTEP_CONFIG: file(`[auth]\n${auth}`) });
      expect((await fetch(`${server.url}/history/rooms/a`, { headers })).status).toBe(200);
      expect((await fetch(`${server.url}/history/rooms/a`)).status).toBe(401);
      await server.end();
    }
    await keys.stop(true);
  });

  test("warns of a secret that may be guessed", async () => {
    const server = await Server.start({ LOCKSTEP_JWT_SECRET: "short" });
    expect(server.log).toContainEqual(expect.objectContaining({ level: "warn", msg: expect.stringContaining("fewer than 32 bytes") }));
    await server.end();
  });

  test("refuses an expression with look-around", async () => {
    const { code, stderr } = await run(["check", file('[[channels]]\npath = "{a}"\nparams = { a = "(?=a)a" }')]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('channels[0].params.a: found "(?=a)a"')]);
  });

  test("tells a container whether it is live", async () => {
    const server = await Server.start();
    expect((await run(["healthcheck"], { PORT: String(server.port) })).code).toBe(0);
    await server.end();
    expect((await run(["healthcheck"], { PORT: "0" })).code).toBe(2);
    const { code, stderr } = await run(["healthcheck"], { PORT: String(await freePort()) });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^lockstep: http:\/\/127\.0\.0\.1:\d+\/livez did not answer \(ECONNREFUSED\)\n$/);
  });
});
