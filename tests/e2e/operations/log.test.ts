import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError, Log, logLevels } from "../../../src/log.ts";
import { Client, frame } from "../../support/client.ts";
import { EventClient } from "../../support/event-client.ts";
import { executable } from "../../support/executable.ts";
import { Instance } from "../../support/instance.ts";
import { freePort, RedisServer } from "../../support/redis.ts";
import { TerminalProcess } from "../../support/terminal.ts";
import { API_KEY, bearer, EVERYTHING, HOUR_AHEAD, keyPairs, SECRET, signed, tokenOf } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);
// On a busy machine it takes a while, which no test is to be charged with.
beforeAll(() => executable().then(() => undefined));

test.each([...logLevels])("at level %s everything from there up is written, one JSON object a line", (level) => {
  const lines: string[] = [];
  const log = new Log(level, "json", (line) => lines.push(line));
  for (const one of logLevels) log[one](`a ${one}`, { of: "two\nlines" });
  const written = logLevels.slice(0, logLevels.indexOf(level) + 1);
  expect(lines.every((line) => line.endsWith("\n") && line.indexOf("\n") === line.length - 1)).toBe(true);
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    written.map((one) => ({ time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), level: one, msg: `a ${one}`, of: "two\nlines" })),
  );
});

test("the pretty format is a line for eyes, with its level coloured where a terminal shows it", () => {
  const lines: string[] = [];
  for (const coloured of [false, true])
    new Log("info", "pretty", (line) => lines.push(line), { worker: 2 }, coloured).warn("careful", {
      of: "a\nb\u009b",
      nothing: undefined,
    });
  expect(lines[0]).toMatch(/^\S+Z WARN {2}careful worker=2 of="a\\nb\\u009b"\n$/);
  expect(lines[1]).toContain("\u001b[33mWARN \u001b[39m careful");
});

test("colours are for the pretty format on a terminal, those of workers too", async () => {
  const redis = await RedisServer.start();
  const file = join(mkdtempSync(join(tmpdir(), "lockstep-file-")), "lockstep.toml");
  for (const [format, env, coloured] of [
    ["pretty", {}, true],
    ["pretty", { WORKERS: "2", REDIS_URL: redis.url }, true],
    ["pretty", { NO_COLOR: "1" }, false],
    ["json", {}, false],
  ] as const) {
    writeFileSync(file, `[log]\nformat = "${format}"`);
    const server = await TerminalProcess.start(["--config", file], { TERM: "xterm", PORT: "0", HOST: "127.0.0.1", ...env });
    await waitFor("the server", () => server.shown.includes("listening"));
    expect(await server.end()).toBe(0);
    const lines = server.shown.split("\r\n").filter((line) => line.includes("drain") || line.includes("listening"));
    expect(lines.length).toBeGreaterThan("WORKERS" in env ? 3 : 1);
    expect(lines.filter((line) => line.includes("\u001b[32mINFO \u001b[39m")).length).toBe(coloured ? lines.length : 0);
  }
  await redis.stop();
});

test("a connection's end is one line at debug: who, where, why and after how long, and nothing that the client made up", async () => {
  const instance = await Instance.start({ env: { LOCKSTEP_JWT_SECRET: SECRET } });
  const headers = bearer(await tokenOf({ sub: "alice", subscribe: ["rooms/*"] }));
  const ends = (msg: string): object[] => instance.log.filter((line) => line["msg"] === msg && line["level"] === "debug");
  const client = await instance.join("rooms/a", { headers });
  client.write(frame(8, Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from("made up")])));
  await waitFor("its end", () => ends("connection closed").length === 1);
  const about = { channel: "rooms:a", sub: "alice", address: "127.0.0.1", duration_ms: expect.any(Number) };
  expect(ends("connection closed")).toEqual([expect.objectContaining({ ...about, code: 4000 })]);
  const mute = await instance.join("rooms/a", { headers });
  mute.send("without the right");
  expect(await mute.receiveClose()).toBe(3003);
  await waitFor("its end", () => ends("connection closed").length === 2);
  expect(ends("connection closed")[1]).toMatchObject({ ...about, code: 3003, fault: "forbidden" });
  const stream = await EventClient.open(`${instance.url}/sse/rooms/a`, headers);
  stream.close();
  await waitFor("its end", () => ends("connection closed").length === 3);
  expect(ends("connection closed")[2]).toMatchObject({ ...about, protocol: "sse" });
  expect(JSON.stringify(instance.log)).not.toContain("made up");
  expect(JSON.stringify(instance.log)).not.toContain("without the right");
  await instance.stop();
});

/** In every token and message of the test below. */
const SECRETS = ["s3cr3t-payload", "s3cr3t-key", "s3cr3t-reason"];

test.concurrent.each(["json", "pretty"])("no token and no message is ever in the log, at debug, as %s", async (format) => {
  const redis = await RedisServer.start();
  const file = join(mkdtempSync(join(tmpdir(), "lockstep-file-")), "lockstep.toml");
  const jwks = `http://127.0.0.1:${await freePort()}/keys?key=s3cr3t-key`;
  const kinds =
    '[[channels]]\npath = "rooms/{room}"\nhistory = { size = 10, ttl = "1m" }\n[[channels]]\npath = "json/{id}"\nenvelope = "$json"\n';
  writeFileSync(
    file,
    `[log]\nformat = "${format}"\nlevel = "debug"\n[limits]\npublish_timeout = "300ms"\n[auth]\njwks_url = "${jwks}"\n${kinds}`,
  );
  const child = Bun.spawn([await executable(), "--config", file], {
    env: { PORT: "0", HOST: "127.0.0.1", REDIS_URL: redis.url, LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY },
    stdout: "pipe",
    stderr: "pipe",
  });
  let log = "";
  const collected = Promise.all(
    [child.stdout, child.stderr].map(async (stream) => {
      for await (const part of stream.pipeThrough(new TextDecoderStream())) log += part;
    }),
  );
  await waitFor("the server", () => log.includes("listening"));
  const port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1]);

  const good = await tokenOf({ sub: "alice", subscribe: ["**"], publish: ["rooms/*", "json/*"] });
  const reader = await tokenOf({ sub: "bob", subscribe: ["**"] });
  const expired = await tokenOf({ sub: "carol", subscribe: ["**"], ttlMs: -1000 });
  const forged = await signed({ exp: 1, lockstep: EVERYTHING }, "another secret that is long enough!", { alg: "HS256" });
  const foreign = await signed({ exp: HOUR_AHEAD, lockstep: EVERYTHING }, keyPairs.ES256().privateKey, { alg: "ES256", kid: "unknown" });
  const tokens = [good, reader, expired, forged, foreign, API_KEY, `${good}x`, "s3cr3t-key"];
  for (const token of tokens) {
    for (const path of ["rooms/a", "json/1", "%zz"]) {
      const carriers: [string, Record<string, string>][] = [
        [path, bearer(token)],
        [`${path}?token=${token}&since=bad`, {}],
        [`${path}?token=${token}`, {}],
        [path, { "Sec-WebSocket-Protocol": `lockstep, lockstep.token.${token}` }],
        [path, { "Sec-WebSocket-Protocol": `lockstep.token.${token}` }],
      ];
      for (const [target, headers] of carriers) {
        const { client, answer } = await Client.ask(port, `/ws/${target}`, { headers });
        if (answer.status === 101) {
          client.send("s3cr3t-payload");
          client.send(Buffer.from("s3cr3t-payload"));
          client.write(frame(8, Buffer.concat([Buffer.from([3, 232]), Buffer.from("s3cr3t-reason")])));
          await client.receiveClose();
        }
        client.destroy();
        for (const route of ["publish", "history", "nothing"]) {
          const [method, body] = route === "publish" ? ["POST", { body: '{"s3cr3t-payload' }] : ["GET", {}];
          await (await fetch(`http://127.0.0.1:${port}/${route}/${target}`, { method, headers, ...body })).text();
        }
        const abort = new AbortController();
        await fetch(`http://127.0.0.1:${port}/sse/${target}`, { headers, signal: abort.signal });
        abort.abort();
      }
    }
  }
  // Also while it cannot publish.
  await redis.kill();
  await fetch(`http://127.0.0.1:${port}/publish/rooms/a?token=${good}`, { method: "POST", body: "s3cr3t-payload" });
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  await collected;
  // It has something to say of all this.
  for (const said of ["connection closed", "refused", "their keys cannot be had", "redis is away"])
    expect([said, log.includes(said)]).toEqual([said, true]);
  for (const secret of [...SECRETS, API_KEY, SECRET, ...tokens.flatMap((token) => token.split("."))])
    expect([secret, log.includes(secret)]).toEqual([secret, false]);
  expect(log.includes("token=")).toBe(false);
  await redis.stop();
});

test("what Redis repeats of a command that it does not know is not logged", async () => {
  const redis = await RedisServer.start();
  const refused = await redis
    .client()
    .call("RENAMED", "room", "s3cr3t-payload")
    .catch((error: unknown) => error);
  expect(String(refused)).toContain("s3cr3t-payload");
  expect(describeError(refused)).toBe("ReplyError: ERR unknown command 'RENAMED'");
  await redis.stop();
});
