import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { parseChannelUrl, remoteCredential } from "../../../src/remote/channel-url.ts";
import { publishThere } from "../../../src/remote/publishing.ts";
import { executable, run } from "../../support/executable.ts";
import { Instance } from "../../support/instance.ts";
import { TerminalProcess } from "../../support/terminal.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);
// On a busy machine it takes a while, which no test is to be charged with.
beforeAll(() => executable().then(() => undefined));

describe("publishing", () => {
  test("says that a message is too large, and what is allowed", async () => {
    const instance = await Instance.start();
    const { code, stderr } = await run(["publish", `${instance.url}/rooms/a`, "-"], {}, Buffer.alloc(70_000));
    expect([code, stderr]).toEqual([1, "lockstep: 413 Message too large: A body has at most 65536 bytes.\n"]);
    await instance.stop();
  });

  test("ends after its time, and says that the message may arrive", async () => {
    const silent = Bun.serve({ port: 0, fetch: () => new Promise<Response>(() => undefined) });
    const { code, stderr } = await run(["publish", "--timeout", "300ms", `${silent.url.href}rooms/a`, "x"]);
    expect([code, stderr]).toEqual([
      1,
      `lockstep: ${silent.url.origin} did not answer within 300 ms; the message may arrive all the same\n`,
    ]);
    await silent.stop(true);
  });

  test("with a key goes on until it is confirmed, once; without one it is tried once", async () => {
    const asked: (string | null)[] = [];
    const flaky = Bun.serve({
      port: 0,
      fetch: ({ headers }) => {
        asked.push(headers.get("idempotency-key"));
        if (asked.length < 3) return new Response("{}", { status: 503 });
        return Response.json({ channel: "rooms:a", id: "e-1" });
      },
    });
    const target = `${flaky.url.href}rooms/a`;
    expect((await run(["publish", target, "x"])).code).toBe(1);
    expect(asked).toEqual([null]);
    expect((await run(["publish", "--idempotency-key", "k", target, "x"])).stdout).toBe('{"channel":"rooms:a","id":"e-1"}\n');
    expect(asked).toEqual([null, "k", "k"]);
    await flaky.stop(true);
  });
});

describe("what stands before the server", () => {
  test("may have passed a message on: that is said, and with a key it is tried again", async () => {
    let asked = 0;
    const proxy = Bun.serve({
      port: 0,
      fetch: () => new Response("<h1>Gateway Timeout</h1>", { status: (asked += 1) % 3 === 0 ? 200 : 504 }),
    });
    const target = `${proxy.url.href}rooms/a`;
    const { code, stderr } = await run(["publish", target, "x"]);
    expect([code, stderr]).toEqual([
      1,
      `lockstep: ${proxy.url.origin} answered 504, and not as Lockstep does; the message may have arrived\n`,
    ]);
    await run(["publish", "--idempotency-key", "k", target, "x"]);
    expect(asked).toBe(3);
    await proxy.stop(true);
  });

  test("and answers without end is not listened to for long", async () => {
    const endless = Bun.serve({
      port: 0,
      fetch: () =>
        new Response(
          new ReadableStream({
            pull: async (controller) => {
              controller.enqueue(Buffer.alloc(65_536, "x"));
              await Bun.sleep(1);
            },
          }),
        ),
    });
    const { code, stderr } = await run(["publish", "--timeout", "10s", `${endless.url.href}rooms/a`, "x"]);
    expect([code, stderr]).toEqual([1, `lockstep: ${endless.url.origin} answered 200, and not as Lockstep does\n`]);
    await endless.stop(true);
  });

  test("and does not speak TLS has passed nothing on", async () => {
    const plain = Bun.serve({ port: 0, fetch: () => new Response() });
    const { code, stderr } = await run(["publish", "--idempotency-key", "k", `https://localhost:${plain.port}/a`, "x"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^lockstep: cannot speak securely with https:\/\/localhost:\d+ \(\w+\)\n$/);
    await plain.stop(true);
  });
});

test("what is tried again ends before the server has forgotten the key", async () => {
  let asked = 0;
  const busy = Bun.serve({
    port: 0,
    fetch: () => {
      asked += 1;
      return new Response("{}", { status: 503 });
    },
  });
  const url = parseChannelUrl(`${busy.url.href}rooms/a`);
  const publishing = { url, credential: remoteCredential({}), message: "x", idempotencyKey: "k", timeoutMs: 20_000 };
  const startedMs = performance.now();
  expect(await publishThere(publishing, 1500).catch(String)).toContain("answered 503");
  expect(performance.now() - startedMs).toBeLessThan(5000);
  expect(asked).toBeGreaterThan(1);
  await busy.stop(true);
});

test.each([502, 503])("what a server refuses with %d is tried again no sooner than it said", async (status) => {
  const askedMs: number[] = [];
  const busy = Bun.serve({
    port: 0,
    fetch: () => {
      askedMs.push(performance.now());
      if (askedMs.length > 1) return Response.json({ channel: "a", id: null });
      return new Response(null, { status, headers: { "retry-after": "2" } });
    },
  });
  expect((await run(["publish", "--idempotency-key", "k", `${busy.url.href}a`, "x"])).code).toBe(0);
  expect((askedMs[1] ?? 0) - (askedMs[0] ?? 0)).toBeGreaterThanOrEqual(1990);
  await busy.stop(true);
});

describe("the words", () => {
  test.each([
    [["publish", "http://localhost:9001/a"]],
    [["publish", "localhost:9001/a", "x"]],
    [["publish", "ftp://localhost/a", "x"]],
    [["publish", "http://me:secret@localhost/a", "x"]],
    [["publish", "http://localhost:99999/a", "x"]],
    [["publish", "http://localhost/a", "-5"]],
    [["publish", "http://localhost/a", "x", "--timeout", "soon"]],
    [["publish", "http://localhost/a", "x", "--idempotency-key", ""]],
    [["publish", "http://localhost/a", "x", "--json"]],
    [["subscribe"]],
    [["help", "publish", "extra"]],
    [["help", "nobody"]],
    [["subscribe", "http://localhost/a", "b"]],
    [["subscribe", "http://localhost/a?token=secret"]],
    [["subscribe", "http://localhost/a#b"]],
    [["subscribe", "http://localhost/"]],
    [["subscribe", "http://localhost"]],
    [["subscribe", "http://localhost/a/"]],
    [["subscribe", "http://localhost/a/../b"]],
    [["subscribe", "http://localhost/%2e%2E/b"]],
    [["subscribe", "http://localhost/50%"]],
    [["subscribe", "http://localhost/a", "--since", "5"]],
    [["subscribe", "http://localhost/a", "--recent", "0"]],
    [["subscribe", "http://localhost/a", "--recent", "1", "--since", "a-1"]],
    [["subscribe", "http://localhost/a", "--sub", "x"]],
  ])("%p are wrong: 2, and one line without secrets", async (words) => {
    const { code, stdout, stderr } = await run(words);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^lockstep: [^\n]+\n$/);
    expect(stderr).not.toContain("secret");
  });

  test("an option that nobody knows is named", async () => {
    const { code, stderr } = await run(["publish", "http://localhost/a", "-5"]);
    expect([code, stderr]).toEqual([
      2,
      "lockstep: unknown option '-5'; see lockstep --help (what only begins with a dash stands after --)\n",
    ]);
  });

  test.each([
    [["help"], ["--help"]],
    [["help", "help"], ["--help"]],
    [
      ["help", "publish"],
      ["publish", "--help"],
    ],
  ])("%p is %p", async (words, flags) => {
    const { code, stdout } = await run(words);
    expect([code, stdout]).toEqual([0, (await run(flags)).stdout]);
  });

  test("a credential that cannot be one is wrong, and not repeated", async () => {
    const { code, stderr } = await run(["publish", "http://localhost/a", "x"], { LOCKSTEP_TOKEN: "my secret\nX-More: header" });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^lockstep: LOCKSTEP_TOKEN holds [^\n]+\n$/)]);
    expect(stderr).not.toContain("secret");
  });

  test("every segment of a path arrives as it was meant", async () => {
    const instance = await Instance.start();
    for (const [path, channel] of [
      ["rooms/a%2Fb", "rooms:a/b"],
      ["rooms/a b", "rooms:a b"],
      ["rooms/a%20b", "rooms:a b"],
      ["rooms/世界", "rooms:世界"],
      ["rooms/%e4%b8%96", "rooms:世"],
      ["rooms/a\\b", "rooms:a\\b"],
    ]) {
      const { stdout } = await run(["publish", `${instance.url}/${path}`, "x"]);
      expect(Object(JSON.parse(stdout)).channel).toBe(channel);
    }
    await instance.stop();
  });

  test("--help shows all of a command, with examples, coloured on a terminal only", async () => {
    const whole = await run(["--help"]);
    for (const name of ["serve", "publish", "subscribe", "token", "check", "healthcheck"]) {
      expect(whole.stdout).toContain(`lockstep ${name === "serve" ? "[serve]" : name} `);
      const help = await run([name, "--help"]);
      expect([help.code, help.stderr]).toEqual([0, ""]);
      for (const word of ["Usage:", "Example", "Exit codes:", `lockstep ${name === "serve" ? "[serve]" : name}`])
        expect(help.stdout).toContain(word);
      expect(help.stdout).not.toContain("\u001b");
    }
  });

  test("colours are for terminals, and only where they are wanted", async () => {
    for (const [env, coloured] of [
      [{ TERM: "xterm" }, true],
      [{ TERM: "xterm", NO_COLOR: "1" }, false],
      [{ TERM: "dumb" }, false],
    ] as const) {
      for (const words of [["--help"], ["frobnicate"]]) {
        const terminal = await TerminalProcess.start(words, env);
        await terminal.exited;
        const { shown } = terminal;
        expect(shown).toContain("lockstep");
        expect([words, env, shown.includes("\u001b[")]).toEqual([words, env, coloured]);
      }
    }
    expect((await run(["frobnicate"], { TERM: "xterm" })).stderr).not.toContain("\u001b");
  });

  test("an output that nobody reads is no fault, and one that cannot be written is one line", async () => {
    const lockstep = await executable();
    const shell = (line: string): { exitCode: number; stderr: Buffer } => Bun.spawnSync(["sh", "-c", line, lockstep], { env: {} });
    const gone = shell('exec 3>&1; { "$0" --help; echo $? >&3; } | true');
    expect([gone.exitCode, gone.stderr.toString()]).toEqual([0, ""]);
    const full = shell('"$0" --help > /dev/full');
    expect([full.exitCode, full.stderr.toString()]).toEqual([1, "lockstep: standard output cannot be written (ENOSPC)\n"]);
  });
});
