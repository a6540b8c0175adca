import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "../../support/client.ts";
import { executable, run, Server, type Finished } from "../../support/executable.ts";
import { childrenOf, isRunning } from "../../support/processes.ts";
import { freePort, RedisServer } from "../../support/redis.ts";
import { bearer, API_KEY } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(60_000);

/** So many that they are never all on one worker, however the kernel spreads them. */
const CROWD = 30;
/** A request may come to a worker that does not answer. */
const PATIENCE_MS = 4000;

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

const launched = new Set<Bun.Subprocess>();
// What a failed test has left behind.
afterEach(() => {
  for (const child of launched) child.kill("SIGKILL");
  launched.clear();
});

/** A server of three workers. */
function start(env: Record<string, string> = {}): Promise<Server> {
  return Server.start({ WORKERS: "3", REDIS_URL: redis.url, ...env });
}

function file(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "lockstep-file-")), "lockstep.toml");
  writeFileSync(path, text);
  return path;
}

function crowd(server: Server, path: string, count = CROWD): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => Client.join(server.port, `/ws/${path}`)));
}

async function status(server: Server, path: string): Promise<number> {
  try {
    return (await fetch(`${server.url}${path}`, { signal: AbortSignal.timeout(PATIENCE_MS), headers: { connection: "close" } })).status;
  } catch {
    return 0;
  }
}

async function metric(server: Server, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`, { headers: { connection: "close" } })).text();
  return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
}

/** The executable, from the first moment. */
async function launch(env: Record<string, string>, program?: string) {
  const cwd = mkdtempSync(join(tmpdir(), "lockstep-empty-"));
  const child = Bun.spawn([program ?? (await executable())], { cwd, env: { PORT: "0", ...env }, stdout: "pipe", stderr: "pipe" });
  launched.add(child);
  const said = { stdout: "" };
  const read = (async () => {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) said.stdout += part;
  })();
  const finished = async (): Promise<Finished> => {
    const [code, stderr] = await Promise.all([child.exited, new Response(child.stderr).text(), read]);
    return { code, stderr, stdout: said.stdout };
  };
  return { child, said, finished };
}

describe("several workers", () => {
  test("are one server on one port, and say so in one line", async () => {
    const server = await start();
    expect(server.lines("listening")).toEqual([
      expect.objectContaining({ url: `http://0.0.0.0:${server.port}/`, pid: server.pid, workers: server.workers }),
    ]);
    expect(new Set([server.pid, ...server.workers]).size).toBe(4);
    expect(childrenOf(server.pid).toSorted((a, b) => a - b)).toEqual(server.workers.toSorted((a, b) => a - b));
    expect(new Set(server.lines("connected to redis").map(({ worker }) => worker))).toEqual(new Set([1, 2, 3]));
    expect(server.log.filter(({ msg }) => String(msg).startsWith("no keys are set")).length).toBe(1);
    const clients = await crowd(server, "rooms/one");
    for (const [index, client] of clients.entries()) client.send(String(index));
    const seen = await Promise.all(clients.map((client) => client.receive(CROWD)));
    for (const messages of seen) expect(messages).toEqual(seen[0] ?? []);
    for (let index = 0; index < 10; index += 1) {
      const presence: unknown = await (await fetch(`${server.url}/presence/rooms/one`, { headers: { connection: "close" } })).json();
      expect(presence).toMatchObject({ count: CROWD });
      expect([await status(server, "/livez"), await status(server, "/readyz")]).toEqual([200, 200]);
    }
    expect((await run(["healthcheck"], { PORT: String(server.port) })).code).toBe(0);
    const ended = server.end();
    for (const client of clients) expect(await client.receiveClose()).toBe(1001);
    expect(await ended).toBe(0);
    expect(server.workers.filter(isRunning)).toEqual([]);
    expect(server.lines("stopped").length).toBe(4);
  });

  test("keep the port for themselves, whoever comes", async () => {
    const server = await start();
    const taken = { code: 1, stdout: "", stderr: `lockstep: port ${server.port} on 0.0.0.0 is taken\n` };
    const env = { PORT: String(server.port), REDIS_URL: redis.url };
    expect(await run([], { ...env, WORKERS: "2" })).toEqual(taken);
    expect(await run([], env)).toMatchObject({ code: 1, stderr: taken.stderr });
    expect(await status(server, "/readyz")).toBe(200);
    expect(await server.end()).toBe(0);
    const alone = await Server.start(env);
    expect(await run([], { ...env, WORKERS: "2" })).toEqual(taken);
    expect(await alone.end()).toBe(0);
  });

  test("broadcast each tick once, and disconnect a subject wherever it is", async () => {
    const config = file(
      '[[channels]]\npath = "tick"\naccess = "open"\n[[broadcasts]]\npath = "tick"\npattern = "* * * * * *"\nmessage = "{time}"\n',
    );
    const secret = "a secret of more than thirty-two bytes";
    const server = await start({ LOCKSTEP_CONFIG: config, LOCKSTEP_API_KEY: API_KEY, LOCKSTEP_JWT_SECRET: secret });
    const token = await run(["token", "--sub", "alice", "--subscribe", "tick"], { LOCKSTEP_JWT_SECRET: secret });
    const headers = bearer(token.stdout.trim());
    const alice = await Promise.all(Array.from({ length: CROWD }, () => Client.join(server.port, "/ws/tick", { headers })));
    const others = await crowd(server, "tick");
    for (const client of [...alice, ...others]) {
      const ticks = await client.receive(3);
      expect(new Set(ticks).size).toBe(ticks.length);
    }
    const order = { method: "POST", headers: bearer(API_KEY), body: JSON.stringify({ sub: "alice" }) };
    expect((await fetch(`${server.url}/disconnect`, order)).status).toBe(200);
    for (const client of alice) expect(await client.receiveClose()).toBe(3003);
    expect(others.filter(({ closed }) => closed)).toEqual([]);
    for (const client of others) client.destroy();
    expect(await server.end()).toBe(0);
  });

  test("do not share it with those of a server that is started at the same moment", async () => {
    const env = { PORT: String(await freePort()), WORKERS: "2", REDIS_URL: redis.url };
    const both = await Promise.all([launch(env), launch(env)]);
    await waitFor("one to end", () => both.some(({ child }) => child.exitCode !== null));
    const loser = both.find(({ child }) => child.exitCode !== null);
    const winner = both.find((one) => one !== loser);
    expect(await loser?.finished()).toEqual({ code: 1, stdout: "", stderr: `lockstep: port ${env.PORT} on 0.0.0.0 is taken\n` });
    await waitFor("the other to listen", () => winner?.said.stdout.includes('"listening"') === true);
    winner?.child.kill("SIGTERM");
    expect((await winner?.finished())?.code).toBe(0);
  });

  test("run from source as well", async () => {
    const env = { ...process.env, PORT: "0", WORKERS: "2", REDIS_URL: redis.url };
    const child = Bun.spawn([process.execPath, "src/main.ts"], {
      cwd: join(import.meta.dir, "../../.."),
      env,
      stdout: "pipe",
      stderr: "inherit",
    });
    launched.add(child);
    let log = "";
    const read = (async () => {
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) log += part;
    })();
    await waitFor("it to listen", () => log.includes('"listening"'));
    expect(childrenOf(child.pid).length).toBe(2);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await read;
  });
});

describe("a worker that", () => {
  test("is killed takes only its own clients along, and is started again", async () => {
    const server = await start();
    const clients = await crowd(server, "rooms/kill");
    const [victim = 0] = server.workers;
    process.kill(victim, "SIGKILL");
    await waitFor("the next one", () => server.lines("a worker was started again").length === 1);
    const left = clients.filter(({ closed }) => !closed);
    expect(left.length).toBeWithin(1, CROWD);
    for (const client of clients.filter(({ closed }) => closed)) expect(client.closeCode).toBe(1006);
    left[0]?.send("we go on");
    for (const client of left) expect(await client.receive(1)).toEqual(["we go on"]);
    expect(server.lines("a worker ended and will be started again")).toEqual([
      expect.objectContaining({ level: "warn", worker: 1, ended: "signal SIGKILL" }),
    ]);
    const [again] = server.lines("a worker was started again");
    expect(again).toMatchObject({ worker: 1 });
    expect(childrenOf(server.pid)).toContain(Number(again?.["pid"]));
    expect(childrenOf(server.pid).length).toBe(3);
    await waitFor("all to be ready", async () => (await status(server, "/readyz")) === 200);
    for (const client of await crowd(server, "rooms/kill")) client.destroy();
    expect(await server.end()).toBe(0);
  });

  test("dies again and again waits longer each time, while the others serve", async () => {
    const server = await start();
    const delays = (): unknown[] => server.lines("a worker ended and will be started again").map((line) => line["delay_ms"]);
    let victim = server.workers[1] ?? 0;
    for (let round = 1; round <= 4; round += 1) {
      process.kill(victim, "SIGKILL");
      await waitFor("the next one", () => server.lines("a worker was started again").length === round);
      victim = Number(server.lines("a worker was started again")[round - 1]?.["pid"]);
      expect(await status(server, "/livez")).toBe(200);
    }
    expect(delays()).toEqual([100, 200, 400, 800]);
    expect(await metric(server, "lockstep_worker_restarts_total")).toBe(4);
    // Nobody follows one that ends while all do.
    process.kill(victim, "SIGKILL");
    await waitFor("the end", () => delays().length === 5);
    expect(await server.end()).toBe(0);
    expect(server.lines("a worker was started again").length).toBe(4);
  });

  // Elsewhere than on Linux the program is found by its file.
  test.skipIf(process.platform !== "linux")(
    "ends is followed by one of the same program, also when its file has been replaced",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "lockstep-moved-"));
      const program = join(folder, "lockstep");
      copyFileSync(await executable(), program);
      const { child, said, finished } = await launch({ WORKERS: "2", REDIS_URL: redis.url }, program);
      await waitFor("it to listen", () => said.stdout.includes('"listening"'));
      rmSync(program);
      writeFileSync(program, "#!/bin/sh\nexit 7\n", { mode: 0o755 });
      process.kill(childrenOf(child.pid)[0] ?? 0, "SIGKILL");
      await waitFor("the next one", () => said.stdout.includes('"a worker was started again"'));
      child.kill("SIGTERM");
      expect(await finished()).toMatchObject({ code: 0, stderr: "" });
      rmSync(folder, { recursive: true });
    },
  );

  test("is told to end drains alone, and another follows", async () => {
    const server = await start();
    const clients = await crowd(server, "rooms/term");
    process.kill(server.workers[2] ?? 0, "SIGTERM");
    await waitFor("the next one", () => server.lines("a worker was started again").length === 1);
    const gone = clients.filter(({ closed }) => closed);
    expect(gone.length).toBeWithin(1, CROWD);
    for (const client of gone) expect(client.closeCode).toBe(1001);
    expect(server.lines("a worker ended and will be started again")).toEqual([
      expect.objectContaining({ worker: 3, ended: "exit code 0" }),
    ]);
    expect(await server.end()).toBe(0);
  });

  test("hangs makes the server not live, and is killed and started again", async () => {
    const server = await start();
    const clients = await crowd(server, "rooms/hang");
    const [, victim = 0] = server.workers;
    process.kill(victim, "SIGSTOP");
    // At once, since it is killed after ten seconds, and many, since what comes to it waits: each third does.
    const asked = ["/livez", "/readyz"].map((path) => Promise.all(Array.from({ length: 20 }, () => status(server, path))));
    const [{ code }, ...answers] = await Promise.all([run(["healthcheck"], { PORT: String(server.port) }), ...asked]);
    expect(code).toBe(1);
    for (const codes of answers) expect(new Set(codes.filter((each) => each !== 0))).toEqual(new Set([503]));
    await waitFor("its end", () => server.lines("a worker does not answer and is killed").length === 1, 20_000);
    await waitFor("the next one", () => server.lines("a worker was started again").length === 1);
    expect(isRunning(victim)).toBe(false);
    await waitFor("all to be ready", async () => (await status(server, "/readyz")) === 200);
    const left = clients.filter(({ closed }) => !closed);
    left[0]?.send("still here");
    for (const client of left) expect(await client.receive(1)).toEqual(["still here"]);
    expect(await server.end()).toBe(0);
  });

  test("ends before it has served ends the others too, with 1 and the reason", async () => {
    const away = await RedisServer.start();
    away.pause();
    const { child, finished } = await launch({ WORKERS: "3", REDIS_URL: away.url });
    await waitFor("the workers", () => childrenOf(child.pid).length === 3);
    const workers = childrenOf(child.pid);
    process.kill(workers[0] ?? 0, "SIGKILL");
    const { code, stderr } = await finished();
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^lockstep: worker \d ended with signal SIGKILL before it served\n$/)]);
    expect(workers.filter(isRunning)).toEqual([]);
    await away.stop();
  });
});

describe("the supervisor", () => {
  test("leaves nobody behind when it is killed: its workers drain and end", async () => {
    const server = await start();
    const clients = await crowd(server, "rooms/orphans");
    await server.end("SIGKILL");
    for (const client of clients) expect(await client.receiveClose()).toBe(1001);
    await waitFor("the workers to end", () => !server.workers.some(isRunning));
    const next = await start({ PORT: String(server.port) });
    expect(await next.end()).toBe(0);
  });

  test("leaves nobody behind, whenever in its start it is killed", async () => {
    const seen: number[] = [];
    for (const delayMs of [0, 0, 5, 20, 50, 100]) {
      const { child } = await launch({ WORKERS: "3", REDIS_URL: redis.url });
      await waitFor("its first worker", () => childrenOf(child.pid).length > 0);
      await Bun.sleep(delayMs);
      seen.push(...childrenOf(child.pid));
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(seen.length).toBeGreaterThanOrEqual(6);
    await waitFor("all to end", () => !seen.some(isRunning));
  });

  test("and its workers end once, with 0, when a terminal's SIGINT reaches them all", async () => {
    const server = await start();
    const clients = await crowd(server, "rooms/terminal");
    for (const pid of server.workers) process.kill(pid, "SIGINT");
    const ended = server.end("SIGINT");
    for (const client of clients) expect(await client.receiveClose()).toBe(1001);
    expect(await ended).toBe(0);
    expect(server.lines("draining").filter(({ worker }) => worker !== undefined).length).toBe(3);
    expect(server.lines("a worker was started again")).toEqual([]);
  });

  test("heeds SIGTERM while its workers start", async () => {
    const away = await RedisServer.start();
    away.pause();
    const { child, finished } = await launch({ WORKERS: "3", REDIS_URL: away.url });
    await waitFor("the workers", () => childrenOf(child.pid).length === 3);
    const workers = childrenOf(child.pid);
    child.kill("SIGTERM");
    const { code, stderr, stdout } = await finished();
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain('"listening"');
    expect(workers.filter(isRunning)).toEqual([]);
    await away.stop();
  });

  test("heeds SIGHUP while its workers start, and none of them dies of one", async () => {
    const away = await RedisServer.start();
    away.pause();
    const config = file('[[channels]]\npath = "old/{x}"\n');
    const { child, said, finished } = await launch({ WORKERS: "2", REDIS_URL: away.url, LOCKSTEP_CONFIG: config });
    await waitFor("the workers", () => childrenOf(child.pid).length === 2);
    writeFileSync(config, '[[channels]]\npath = "new/{x}"\n');
    child.kill("SIGHUP");
    away.resume();
    await waitFor("the reload", () => said.stdout.includes('"the configuration was reloaded"'));
    for (const pid of childrenOf(child.pid)) process.kill(pid, "SIGHUP");
    const port = Number(/"url":"http:\/\/[^"]*:(\d+)\/"/.exec(said.stdout)?.[1]);
    for (let index = 0; index < CROWD; index += 1) (await Client.join(port, "/ws/new/1")).destroy();
    expect(said.stdout.indexOf('"listening"')).toBeGreaterThan(0);
    child.kill("SIGTERM");
    expect(await finished()).toMatchObject({ code: 0, stderr: "" });
    expect(said.stdout).not.toContain("started again");
    await away.stop();
  });

  test("lets all workers go by the file as it is after SIGHUP, and those that come later", async () => {
    const config = file('[[channels]]\npath = "old/{x}"\n');
    const server = await start({ LOCKSTEP_CONFIG: config });
    const clients = await crowd(server, "old/1");
    writeFileSync(config, '[server]\nping_interval = "3s"\n[[channels]]\npath = "old/{x}"\n[[channels]]\npath = "new/{x}"\n');
    server.hangUp();
    await waitFor("the reload", () => server.lines("the configuration was reloaded").length === 1);
    expect(server.lines("some settings take a restart")).toEqual([expect.objectContaining({ settings: ["server.ping_interval"] })]);
    const joined = await crowd(server, "new/1");
    joined[0]?.send("on all");
    for (const client of joined) expect(await client.receive(1)).toEqual(["on all"]);
    clients[0]?.send("nobody had to leave");
    for (const client of clients) expect(await client.receive(1)).toEqual(["nobody had to leave"]);
    // One with faults changes nothing, also not for a worker that comes meanwhile.
    writeFileSync(config, "[server]\nfoo = 1\n");
    server.hangUp();
    await waitFor("the refusal", () => server.lines("the configuration was not reloaded: the old one stays").length === 1);
    process.kill(server.workers[0] ?? 0, "SIGKILL");
    await waitFor("the next one", () => server.lines("a worker was started again").length === 1);
    for (const client of await crowd(server, "new/2")) client.destroy();
    expect(await server.end()).toBe(0);
  });

  test("says that another number of workers takes a restart", async () => {
    const config = file(`[server]\nworkers = 2\n[redis]\nurl = "${redis.url}"\n`);
    const server = await Server.start({ LOCKSTEP_CONFIG: config });
    expect(server.workers.length).toBe(2);
    writeFileSync(config, `[server]\nworkers = 1\n[redis]\nurl = "${redis.url}"\n`);
    server.hangUp();
    await waitFor("the reload", () => server.lines("the configuration was reloaded").length === 1);
    expect(server.lines("some settings take a restart")).toEqual([expect.objectContaining({ settings: ["server.workers"] })]);
    expect(await server.end()).toBe(0);
  });
});

describe("what all workers count", () => {
  test("is one sum, whichever of them answers, for those with the key", async () => {
    const server = await start({ LOCKSTEP_API_KEY: API_KEY });
    const headers = { ...bearer(API_KEY), connection: "close" };
    const clients = await Promise.all(
      Array.from({ length: CROWD }, () => Client.join(server.port, "/ws/rooms/sum", { headers: bearer(API_KEY) })),
    );
    for (const client of clients) client.send("12345");
    for (const client of clients) await client.receive(CROWD);
    for (let index = 0; index < 10; index += 1) {
      const text = await (await fetch(`${server.url}/metrics`, { headers })).text();
      for (const line of [
        "lockstep_workers 3",
        "lockstep_bus_up 1",
        `lockstep_connections ${CROWD}`,
        `lockstep_joins_total ${CROWD}`,
        `lockstep_messages_published_total ${CROWD}`,
        `lockstep_published_bytes_total ${CROWD * 5}`,
        `lockstep_messages_delivered_total ${CROWD * CROWD}`,
        "lockstep_worker_restarts_total 0",
      ]) {
        expect(text.split("\n")).toContain(line);
      }
      const names = text.split("\n").filter((line) => line.startsWith("# TYPE"));
      expect(new Set(names).size).toBe(names.length);
      expect(Number(/^process_start_time_seconds (.*)$/m.exec(text)?.[1])).toBeWithin(Date.now() / 1000 - 600, Date.now() / 1000);
    }
    expect(await status(server, "/metrics")).toBe(401);
    for (const client of clients) client.destroy();
    expect(await server.end()).toBe(0);
  });

  test("never goes down when one of them dies, and comes to the right sum", async () => {
    const server = await start();
    const before = await crowd(server, "rooms/count");
    for (const client of before) client.send("x");
    for (const client of before) await client.receive(CROWD);
    expect(await metric(server, "lockstep_joins_total")).toBe(CROWD);
    const delivered = await metric(server, "lockstep_messages_delivered_total");
    const enough = new AbortController();
    const seen: number[] = [];
    const scraped = (async () => {
      while (!enough.signal.aborted) {
        const response = await fetch(`${server.url}/metrics`, { headers: { connection: "close" } }).catch(() => undefined);
        const text = response?.ok === true ? await response.text().catch(() => "") : "";
        const joins = /^lockstep_joins_total (.*)$/m.exec(text)?.[1];
        if (joins !== undefined) seen.push(Number(joins));
      }
    })();
    for (const victim of server.workers) {
      process.kill(victim, "SIGKILL");
      await waitFor("its end", () => !isRunning(victim));
    }
    await waitFor("the next ones", () => server.lines("a worker was started again").length === 3);
    const after = await crowd(server, "rooms/count");
    await waitFor("a look at all", async () => (await metric(server, "lockstep_joins_total")) === 2 * CROWD);
    enough.abort();
    await scraped;
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(await metric(server, "lockstep_messages_delivered_total")).toBe(delivered);
    expect(await metric(server, "lockstep_connections")).toBe(CROWD);
    expect(await metric(server, "lockstep_publish_duration_seconds_count")).toBeGreaterThan(0);
    for (const client of after) client.destroy();
    expect(await server.end()).toBe(0);
  });

  test("lasts in part while one of them hangs", async () => {
    const server = await start();
    const clients = await crowd(server, "rooms/silent");
    expect(await metric(server, "lockstep_joins_total")).toBe(CROWD);
    process.kill(server.workers[0] ?? 0, "SIGSTOP");
    let text = "";
    await waitFor("the others to be asked", async () => {
      const response = await fetch(`${server.url}/metrics`, {
        signal: AbortSignal.timeout(PATIENCE_MS),
        headers: { connection: "close" },
      }).catch(() => undefined);
      text = (await response?.text().catch(() => "")) ?? "";
      return text !== "";
    });
    expect(text.split("\n")).toContain("lockstep_workers 2");
    expect(text.split("\n")).toContain(`lockstep_joins_total ${CROWD}`);
    process.kill(server.workers[0] ?? 0, "SIGCONT");
    await waitFor("all to answer", async () => (await metric(server, "lockstep_workers")) === 3);
    expect(await metric(server, "lockstep_connections")).toBe(CROWD);
    expect(await status(server, "/livez")).toBe(200);
    for (const client of clients) client.destroy();
    expect(await server.end()).toBe(0);
  });
});

describe("a bad number of workers", () => {
  test.each(["0", "-1", "two", "1025"])("%s is a fault, and nothing starts", async (workers) => {
    const { code, stdout, stderr } = await run([], { PORT: "0", WORKERS: workers, REDIS_URL: redis.url });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^lockstep: WORKERS: found [^\n]+, allowed: an integer from 1 to 1024\n$/);
  });

  test("is more than one without a Redis, also for check, and all faults are named at once", async () => {
    const alone = await run([], { WORKERS: "2", PORT: "x" });
    expect([alone.code, alone.stdout, alone.stderr.trimEnd().split("\n").length]).toEqual([2, "", 2]);
    expect(alone.stderr).toMatch(/^lockstep: WORKERS: found 2, allowed: 1 without a Redis[^\n]+REDIS_URL[^\n]+$/m);
    const checked = await run(["check", file("[server]\nworkers = 2\n")]);
    expect([checked.code, checked.stdout]).toEqual([2, ""]);
    expect(checked.stderr).toMatch(/^lockstep: server\.workers: found 2, allowed: 1 without a Redis[^\n]+\n$/);
  });

  test("may be one, which is served by the process itself", async () => {
    const server = await Server.start({ WORKERS: "1" });
    expect(childrenOf(server.pid)).toEqual([]);
    expect(server.lines("listening")[0]?.["workers"]).toBeUndefined();
    expect(await (await fetch(`${server.url}/metrics`)).text()).not.toContain("lockstep_workers");
    expect(await server.end()).toBe(0);
  });
});
