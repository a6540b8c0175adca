import { afterEach, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BrowserSockets, Channel, delayMs, reconnectAfter, repeat, type BrowserEnd, type Start, type State } from "../../client/index.ts";
import { closeCodesSource } from "../../client/generate-close-codes.ts";
import { Instance } from "../support/instance.ts";
import { SECRET, tokenOf } from "../support/tokens.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(20_000);

const client = join(import.meta.dir, "../../client");
const ends: (() => unknown)[] = [];

afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

/** Makes every wait the same part of its bound. */
function fixChance(chance: number): void {
  const random = spyOn(Math, "random").mockReturnValue(chance);
  ends.push(() => random.mockRestore());
}

/** A server that refuses so many upgrades as draining, then lets each client stay so long and closes it with 1013. */
function start(refusals: number, stayMs: number): { url: string; opened: () => number } {
  let left = refusals;
  let opened = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, self) {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/history/")) return Response.json({ type: "urn:lockstep:problem:no-history" }, { status: 404 });
      if (request.headers.get("upgrade") === null) return Response.json({ type: "urn:lockstep:problem:draining" }, { status: 503 });
      left -= 1;
      if (left >= 0 || !self.upgrade(request)) return new Response(null, { status: 503 });
      return undefined;
    },
    websocket: {
      open(socket) {
        opened += 1;
        setTimeout(() => socket.close(1013), stayMs);
      },
      message() {},
    },
  });
  ends.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, opened: () => opened };
}

interface Watched {
  readonly channel: Channel<string | ArrayBuffer, BrowserEnd>;
  readonly sockets: BrowserSockets;
  readonly states: State<BrowserEnd>[];
  readonly waits: number[];
  readonly starts: Start[];
  readonly messages: [string | ArrayBuffer, string | null][];
}

interface WatchOptions {
  readonly path?: string;
  readonly token?: () => string | Promise<string>;
  readonly since?: string;
  readonly recent?: number;
  readonly renewsToken?: boolean;
}

/** Follows a channel as a browser does. */
function watch(url: string, { path = "rooms/a", token = () => "", ...options }: WatchOptions = {}): Watched {
  const states: State<BrowserEnd>[] = [];
  const waits: number[] = [];
  const starts: Start[] = [];
  const messages: [string | ArrayBuffer, string | null][] = [];
  const changed = (state: State<BrowserEnd>): void => {
    states.push(state);
    if (state.at === "waiting") waits.push(state.dueMs - Date.now());
  };
  const sockets = new BrowserSockets({ server: `${url}/`, path, token });
  const listener = {
    changed,
    started: (begun: Start) => void starts.push(begun),
    received: (data: string | ArrayBuffer, position: string | null) => void messages.push([data, position]),
  };
  const channel = new Channel(sockets, listener, options);
  ends.push(() => channel.close());
  channel.connect();
  return { channel, sockets, states, waits, starts, messages };
}

async function startInstance(setup?: Parameters<typeof Instance.start>[0]): Promise<Instance> {
  const instance = await Instance.start(setup);
  ends.push(() => instance.stop());
  return instance;
}

describe("the decision to reconnect", () => {
  test("is generated from the server's table of close codes", () => {
    expect(readFileSync(join(client, "close-codes.ts"), "utf8")).toBe(closeCodesSource());
  });

  test("for a code of the network or a proxy is to come back later", () => {
    for (const code of [1000, 1005, 1006, 1012, 4711]) expect([code, reconnectAfter({ code })]).toEqual([code, "later"]);
  });

  test.each([
    [undefined, "later"],
    [429, "later"],
    [500, "later"],
    [503, "later"],
    [401, "with-token"],
    [400, "never"],
    [403, "never"],
    [404, "never"],
    [426, "never"],
    [200, "never"],
  ] as const)("for a refusal with %p is %p", (status, reconnect) => {
    expect(reconnectAfter({ status })).toBe(reconnect);
  });

  test("comes with a wait at random, up to a bound that grows and ends", () => {
    expect([delayMs("at-once", 0, 0), delayMs("at-once", 0, 1)]).toEqual([100, 250]);
    expect([delayMs("later", 0, 0), delayMs("later", 0, 1)]).toEqual([100, 1000]);
    expect([delayMs("later", 3, 0), delayMs("later", 3, 1)]).toEqual([100, 8000]);
    expect(delayMs("at-once", 10_000, 1)).toBe(30_000);
  });

  test("of an attempt at something else ends with success, a final failure, or the time", async () => {
    fixChance(0.25);
    let attempts = 0;
    const attempt = (passing: boolean) => (): Promise<{ passing: boolean; attempts: number }> =>
      Promise.resolve({ passing, attempts: (attempts += 1) });
    expect((await repeat(attempt(false), Date.now() + 60_000)).attempts).toBe(1);
    expect((await repeat(attempt(true), Date.now() + 700)).attempts).toBe(3);
    expect((await repeat(attempt(true), Date.now())).attempts).toBe(4);
  });
});

describe("a channel", () => {
  test("that was open for a second comes back at once, whatever failed before", async () => {
    fixChance(0.25);
    const { waits } = watch(start(3, 1100).url);
    await waitFor("the close", () => waits.length === 4);
    expect(waits[2]).toBeGreaterThan(1000);
    expect(waits[3]).toBeLessThanOrEqual(250);
  });

  test("that is closed as soon as it is open waits longer and longer", async () => {
    fixChance(0.25);
    const { waits } = watch(start(0, 0).url);
    await waitFor("four closes", () => waits.length === 4);
    expect(waits[3]).toBeGreaterThan(500);
  });

  test("that waits may be hurried when the server is well again", async () => {
    fixChance(0.25);
    const { url, opened } = start(3, 60_000);
    const { channel, waits } = watch(url);
    await waitFor("three refusals", () => waits.length === 3);
    expect(waits[2]).toBeGreaterThan(1000);
    channel.hurry();
    expect(waits[3]).toBeLessThanOrEqual(250);
    await waitFor("the connection", () => opened() === 1 && channel.state.at === "open");
    channel.hurry();
    expect(channel.state.at).toBe("open");
  });

  test("is heard no more once it is closed, and opens again", async () => {
    const { url } = await startInstance();
    const { channel, states } = watch(url);
    channel.close();
    await waitFor("the state", () => states.at(-1)?.at === "closed");
    await Bun.sleep(200);
    expect(states.map(({ at }) => at)).toEqual(["connecting", "closed"]);
    expect(channel.send("to nobody")).toBe(false);
    channel.connect();
    await waitFor("the connection", () => channel.state.at === "open");
    expect(channel.send("hello")).toBe(true);
  });

  test("goes on after what it got, with each message once, and reports no gap", async () => {
    const instance = await startInstance();
    for (const text of ["1", "2", "3"]) await instance.publish("rooms/a", text);
    const { channel, messages, starts } = watch(instance.url, { recent: 2 });
    await waitFor("the replay", () => messages.length === 2);
    channel.abandon({ code: 1006 });
    await instance.publish("rooms/a", "4");
    await instance.publish("rooms/a", new Uint8Array([1, 255]), { "content-type": "application/octet-stream" });
    await waitFor("the rest", () => messages.length === 4);
    expect(messages.map(([data]) => (typeof data === "string" ? data : [...new Uint8Array(data)]))).toEqual(["2", "3", "4", [1, 255]]);
    expect(messages.map(([, position]) => position?.replace(/^.+-/, ""))).toEqual(["2", "3", "4", "5"]);
    expect(starts.map(({ returning, resumed, gap }) => [returning, resumed, gap])).toEqual([
      [false, null, false],
      [true, true, false],
    ]);
    expect(starts[1]?.since).toBe(messages[1]?.[1] ?? "");
    expect(channel.position).toBe(messages[3]?.[1] ?? "");
  });

  test("begins after a position, reports a gap where the server cannot, and takes nothing else for one", async () => {
    const instance = await startInstance();
    const first = await instance.publishId("rooms/a", "1");
    await instance.publish("rooms/a", "2");
    const known = watch(instance.url, { since: first });
    const unknown = watch(instance.url, { since: "another-1" });
    const plain = watch(instance.url, { path: "7", since: first });
    await waitFor("all", () => known.messages.length === 1 && unknown.messages.length === 2 && plain.starts.length === 1);
    expect([known, unknown, plain].map(({ starts }) => starts[0]?.gap)).toEqual([false, true, true]);
    expect(() => watch(instance.url, { since: "nonsense" })).toThrow("not a position: nonsense");
  });

  test("that begins or ceases to keep history goes on as what it is, and reports a gap", async () => {
    const plain = '[[channels]]\npath = "rooms/{room}"\n';
    const kept = `${plain}history = { size = 10, ttl = "1m" }\n`;
    const instance = await startInstance({ toml: plain });
    const { channel, sockets, messages, starts } = watch(instance.url);
    await waitFor("the connection", () => starts.length === 1);
    for (const [toml, text] of [
      [kept, "kept"],
      [plain, "plain"],
      [kept, "kept again"],
    ] as const) {
      const before = starts.length;
      instance.reload({ toml });
      await waitFor("its return", () => starts.length === before + 1);
      expect([sockets.history, starts.at(-1)?.gap]).toEqual([toml === kept, true]);
      await instance.publish("rooms/a", text);
      await waitFor("the message", () => messages.at(-1)?.[0] === text);
    }
    expect(messages.map(([, position]) => position?.replace(/^.+-/, "") ?? null)).toEqual(["1", null, "2"]);
    expect(channel.position).toBe(messages[2]?.[1] ?? "");
  });

  test("that needs a token ends without one, and asks for another where it can", async () => {
    const { url } = await startInstance({ env: { LOCKSTEP_JWT_SECRET: SECRET } });
    const without = watch(url);
    await waitFor("the refusal", () => without.channel.state.at === "closed");
    expect(without.states.at(-1)).toMatchObject({ end: { status: 401, problem: "unauthorized" } });
    let asked = 0;
    const token = (): Promise<string> => {
      asked += 1;
      return asked === 1 ? Promise.reject(new Error("not now")) : tokenOf({ subscribe: ["rooms/*"], ttlMs: asked === 2 ? 2000 : 60_000 });
    };
    const renewing = watch(url, { token, renewsToken: true });
    await waitFor("the end of the first token", () => renewing.states.some((state) => "end" in state && state.end?.code === 3000));
    await waitFor("the return", () => renewing.channel.state.at === "open");
    expect(renewing.starts.map(({ gap }) => gap)).toEqual([false, false]);
  });

  test("that does not exist is closed for good", async () => {
    const { url } = await startInstance();
    const { channel, states } = watch(url, { path: "no/such" });
    await waitFor("the refusal", () => channel.state.at === "closed");
    expect(states.at(-1)).toMatchObject({ end: { status: 404, problem: "no-channel" } });
  });

  test("waits for a server that is not there", async () => {
    const { url } = start(0, 0);
    for (const end of ends.splice(0)) end();
    const { states, waits } = watch(url);
    await waitFor("the wait", () => waits.length === 1);
    expect(states.at(-1)).toMatchObject({ at: "waiting", end: { status: undefined } });
  });
});

test("the client imports nothing from outside its folder, and the console nothing but the client", () => {
  const root = join(client, "..");
  for (const folder of ["client", "console"]) {
    for (const file of new Bun.Glob(`${folder}/**/*.ts`).scanSync(root)) {
      if (file.endsWith("generate-close-codes.ts")) continue;
      const specifiers = [...readFileSync(join(root, file), "utf8").matchAll(/ from "([^"]+)";$/gm)].map((match) => match[1] ?? "");
      const targets = specifiers.map((specifier) => (specifier.startsWith(".") ? join(file, "..", specifier) : specifier));
      const foreign = targets.filter((target) => !target.startsWith("client/") && !(folder === "console" && target.startsWith("console/")));
      expect([file, foreign]).toEqual([file, []]);
    }
  }
});

test("the example of the client's README works", async () => {
  const instance = await startInstance();
  const [, example = ""] = /```ts\n(.+?)```/s.exec(readFileSync(join(client, "README.md"), "utf8")) ?? [];
  const program = example.replace("./client/index.ts", join(client, "index.ts")).replace("http://localhost:9001", instance.url);
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
  ends.push(() => child.kill());
  const lines: string[] = [];
  const reading = (async (): Promise<void> => {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) lines.push(...part.split("\n").filter(Boolean));
  })();
  await waitFor("the connection", () => lines.includes("open"));
  await instance.publish("rooms/lobby", "hello");
  await waitFor("the message", () => lines.some((line) => /^\S+-1 hello$/.test(line)));
  child.kill();
  await reading;
});

test("the client takes at most 3 kB of a browser, compressed", async () => {
  const build = Bun.spawn([process.execPath, "build", join(client, "index.ts"), "--minify", "--target=browser"], { stderr: "inherit" });
  expect(Bun.gzipSync(await new Response(build.stdout).arrayBuffer()).length).toBeLessThan(3072);
});
