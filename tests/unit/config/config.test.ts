import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { ConfigError } from "../../../src/config/faults.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { resolveTarget } from "../../../src/channels/resolver.ts";
import { keyPairs, pemOf } from "../../support/tokens.ts";
import { configOf, type Setup } from "../../support/instance.ts";

function faultsOf(setup: Setup): readonly string[] {
  try {
    configOf(setup);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map((fault) => fault.replace(/^\/\S*\/lockstep\.toml/, "FILE"));
    throw error;
  }
  return [];
}

describe("a configuration", () => {
  test("has the contract's defaults without file and environment", () => {
    const { host, port, drainTimeoutMs, pingIntervalMs, redisUrl, logLevel, logFormat, limits, kinds, broadcasts } = loadConfig({});
    expect({ host, port, drainTimeoutMs, pingIntervalMs, redisUrl, logLevel, logFormat, limits }).toEqual({
      host: "0.0.0.0",
      port: 9001,
      drainTimeoutMs: 10_000,
      pingIntervalMs: 25_000,
      redisUrl: "",
      logLevel: "info",
      logFormat: "json",
      limits: {
        maxMessageBytes: 65_536,
        messagesPerSecond: 1000,
        maxConnections: 0,
        maxConnectionsPerIp: 0,
        slowConsumerBytes: 1_048_576,
        publishQueue: 10_000,
        publishQueueBytes: 67_108_864,
        publishTimeoutMs: 5000,
      },
    });
    expect(kinds.map(({ path }) => path)).toEqual(["ws_example_channel", "{user_id}", "rooms/{room}"]);
    expect(broadcasts).toEqual([
      { channel: "ws_example_channel", retention: undefined, pattern: "*/5 * * * * *", message: "TODO 示例:当前时间(周期任务): {time}" },
    ]);
  });

  test("takes the environment before the file, and an empty variable as unset", () => {
    const toml = '[server]\nport = 1\nhost = "::1"\n[log]\nlevel = "warn"';
    const { port, host, logLevel } = configOf({ toml, env: { PORT: "2", HOST: "", LOG_LEVEL: "error" } });
    expect([port, host, logLevel]).toEqual([2, "::1", "error"]);
  });

  test("with its own channels has none of the built-in ones, nor their broadcast", () => {
    const { kinds, broadcasts } = configOf({ toml: '[[channels]]\npath = "a/{b}"' });
    expect(kinds.map(({ path }) => path)).toEqual(["a/{b}"]);
    expect(broadcasts).toEqual([]);
  });

  test("keeps the built-in channels where it lists broadcasts only", () => {
    const { kinds, broadcasts } = configOf({ toml: '[[broadcasts]]\npath = "rooms/lobby"\npattern = "0 * * * * *"\nmessage = "m"' });
    expect(resolveTarget(kinds, ["rooms", "x"])?.channel).toBe("rooms:x");
    expect(broadcasts).toEqual([
      { channel: "rooms:lobby", retention: { size: 100, ttlMs: 600_000 }, pattern: "0 * * * * *", message: "m" },
    ]);
  });

  test("keeps history and tells presence only where a kind says so", () => {
    const toml = `[[channels]]\npath = "a"\nhistory = { size = 5, ttl = "2s" }\npresence = true\n[[channels]]\npath = "b"\n[[channels]]\npath = "c"\nhistory = {}`;
    expect(configOf({ toml }).kinds.map(({ history, presence }) => [history, presence])).toEqual([
      [{ size: 5, ttlMs: 2000 }, true],
      [undefined, false],
      [{ size: 100, ttlMs: 600_000 }, false],
    ]);
  });

  test.each(["localhost", "::", "::1", "0.0.0.0", "a-b.example", "host_1", "x1"])("may have the host %s", (host) => {
    expect(configOf({ env: { HOST: host } }).host).toBe(host);
  });

  test("may keep channels of one name alike in other words", () => {
    const toml = `
      [[channels]]
      path = "a/{x}"
      name = "c:{x}"
      history = { size = 5, ttl = "1m" }
      [[channels]]
      path = "b/{x}"
      name = "c:{x}"
      history = { ttl = "60s", size = 5 }
      presence = false`;
    expect(configOf({ toml }).kinds.length).toBe(2);
  });

  test("asks for a token where any key is set and a kind does not say otherwise", () => {
    const toml = '[[channels]]\npath = "a"\n[[channels]]\npath = "b"\naccess = "open"\npublish = "key"';
    const rules = (env: Record<string, string>): string[] =>
      configOf({ toml, env }).kinds.map(({ access, publish }) => `${access} ${publish}`);
    expect(rules({})).toEqual(["open open", "open key"]);
    for (const name of ["LOCKSTEP_JWT_SECRET", "LOCKSTEP_API_KEY"]) expect(rules({ [name]: "x" })).toEqual(["token token", "open key"]);
    const { kinds } = configOf({ toml: '[auth]\njwks_url = "https://a.example/keys"' });
    expect(kinds.map(({ access }) => access)).toEqual(["token", "token", "token"]);
  });

  test.each([
    ["5ms", 5],
    ["2s", 2000],
    ["3m", 180_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    ["30d", 2_147_483_647],
  ])("reads the duration %s as %d ms", (text, ms) => {
    expect(configOf({ toml: `[limits]\npublish_timeout = "${text}"` }).limits.publishTimeoutMs).toBe(ms);
  });
});

describe("an expression for a value", () => {
  const faults = (source: string): readonly string[] => faultsOf({ toml: `[[channels]]\npath = "{a}"\nparams = { a = '${source}' }` });

  test.each([
    "integer",
    "[a-z]+",
    "[a-z0-9]+(-[a-z0-9]+)*",
    "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "[^/]{1,255}",
    "(?:a|aa)".repeat(40),
    String.raw`\p{L}[\p{L}\p{N}_-]{0,31}`,
    String.raw`[\w.+-]+@[\w-]+\.[\w.-]+`,
    "cat|dog",
    "(a+)+",
    "([a-z]+)*[0-9]",
  ])("may be %s", (source) => {
    expect(faults(source)).toEqual([]);
  });

  test.each(["(?!admin$)[a-z]+", "(?<=x)y", String.raw`(a)\1`, "a{2,1}", "[z-a]", "(", "a)("])(
    "may not be %s, which it cannot say",
    (source) => {
      expect(faults(source)).toEqual([expect.stringContaining("channels[0].params.a: found")]);
    },
  );

  test("decides about the longest values in no time, whatever it is", () => {
    const sources = [
      "[^/]+@[^/]+[.][a-z]{2,}|[a-b]*[a-c]*",
      `${"(?:a|aa)".repeat(40)}b`,
      `${"a?".repeat(30)}${"a".repeat(30)}b`,
      ".*x.*y.*z.*w",
      "(a+)+",
      "(a|aa)+b",
      "(([a-z])+.)+[A-Z]",
      "(?:[a-z]|[a-z0-9]){29}-[a-z]+",
    ];
    const hostile = [
      "a".repeat(255),
      "a".repeat(55),
      `${"a".repeat(29)}!`,
      `${"a".repeat(254)}!`,
      "@".repeat(255),
      "a@".repeat(127),
      "xyz".repeat(80),
    ];
    for (const source of sources) {
      const { kinds } = configOf({ toml: `[[channels]]\npath = "{a}"\nparams = { a = '${source}' }` });
      for (const value of hostile) {
        const since = performance.now();
        resolveTarget(kinds, [value]);
        expect(performance.now() - since).toBeLessThan(5000);
      }
    }
  });
});

describe("a bad configuration", () => {
  const faults: [what: string, setup: Setup, said: string][] = [
    ["a port that is no number", { env: { PORT: "abc" } }, 'PORT: found "abc"'],
    ["a port out of range", { env: { PORT: "65536" } }, "PORT: found 65536, allowed: an integer from 0 to 65535"],
    ["a time zone that nobody knows", { env: { TZ: "Mars/Olympus" } }, 'TZ: found "Mars/Olympus"'],
    ["a time zone in the file", { toml: '[server]\ntimezone = "X"' }, 'server.timezone: found "X"'],
    ["a log level that nobody knows", { env: { LOG_LEVEL: "loud" } }, 'LOG_LEVEL: found "loud", allowed: "error", "warn", "info", "debug"'],
    ["another scheme", { env: { REDIS_URL: "http://x" } }, 'REDIS_URL: found "http://x"'],
    ["another database", { env: { REDIS_URL: "redis://x/1" } }, "no database other than 0"],
    ["options in the url", { env: { REDIS_URL: "redis://x?db=1" } }, "REDIS_URL"],
    ["a key that nobody knows", { toml: "[server]\nprot = 1" }, "server.prot: found 1, allowed: one of host, port"],
    ["a table that nobody knows", { toml: "[sever]" }, "sever: found {}"],
    ["a duration without unit", { toml: '[server]\ndrain_timeout = "10"' }, 'server.drain_timeout: found "10"'],
    [
      "a history of nothing",
      { toml: '[[channels]]\npath = "a"\nhistory = { size = 0 }' },
      "channels[0].history.size: found 0, allowed: an integer from 1",
    ],
    ["a history of no time", { toml: '[[channels]]\npath = "a"\nhistory = { ttl = "0s" }' }, 'channels[0].history.ttl: found "0s"'],
    ["a history that is no table", { toml: '[[channels]]\npath = "a"\nhistory = 5' }, "channels[0].history: found 5"],
    ["a presence that is no answer", { toml: '[[channels]]\npath = "a"\npresence = "yes"' }, 'channels[0].presence: found "yes"'],
    [
      "two kinds of one name, of which one keeps history",
      { toml: '[[channels]]\npath = "a/{b}"\n[[channels]]\npath = "c/{d}"\nname = "a:{d}"\nhistory = {}' },
      "channels[1].history",
    ],
    ["a prefix that would take the place of hash tags", { toml: '[redis]\nprefix = "a{}b{c}"' }, "redis.prefix: found"],
    ["no ping interval", { toml: '[server]\nping_interval = "0s"' }, "server.ping_interval"],
    ["a limit below nothing", { toml: "[limits]\nmax_connections = -1" }, "limits.max_connections: found -1"],
    ["a limit that is no integer", { toml: "[limits]\nmax_connections = 1.5" }, "limits.max_connections: found 1.5"],
    ["a kind without path", { toml: "[[channels]]\nname = 'x'" }, "channels[0].path: found nothing"],
    ["a prototype", { toml: "[server]\n__proto__ = { port = 1 }" }, 'server.__proto__: found {"port":1}'],
    ["a prototype in a list", { toml: "[[channels]]\npath = '{a}'\nparams = { __proto__ = 'x' }" }, "channels[0].params.__proto__"],
    ["a broken path", { toml: "[[channels]]\npath = 'a//b'" }, "channels[0].path"],
    ["a path that never comes", { toml: "[[channels]]\npath = 'a/../b'" }, "channels[0].path"],
    ["a broadcast to a pattern", { toml: "[[broadcasts]]\npath='rooms/{room}'\npattern='* * * * * *'\nmessage=''" }, "broadcasts[0].path"],
    ["half a value", { toml: "[[channels]]\npath = 'a/x{b}'" }, "channels[0].path"],
    ["a value twice", { toml: "[[channels]]\npath = '{a}/{a}'" }, "channels[0].path"],
    ["a name with a value that the path has not", { toml: "[[channels]]\npath = '{a}'\nname = 'x:{b}'" }, 'channels[0].name: found "{b}"'],
    ["params of a value that the path has not", { toml: "[[channels]]\npath = '{a}'\nparams = { b = 'integer' }" }, "channels[0].params.b"],
    ["a broken expression", { toml: "[[channels]]\npath = '{a}'\nparams = { a = ')(' }" }, 'channels[0].params.a: found ")("'],
    [
      "an envelope with a variable that nobody knows",
      { toml: "[[channels]]\npath = 'a'\nenvelope = '$who'" },
      'channels[0].envelope: found "$who"',
    ],
    [
      "a gap that is neither",
      { toml: "[[channels]]\npath = 'a'\non_gap = 'drop'" },
      'channels[0].on_gap: found "drop", allowed: "close", "ignore"',
    ],
    [
      "a broadcast to no channel",
      { toml: "[[broadcasts]]\npath='x/y'\npattern='* * * * * *'\nmessage=''" },
      'broadcasts[0].path: found "x/y"',
    ],
    [
      "a pattern without seconds",
      { toml: "[[broadcasts]]\npath='1'\npattern='* * * * *'\nmessage=''" },
      'broadcasts[0].pattern: found "* * * * *"',
    ],
    ["a day that never comes", { toml: "[[broadcasts]]\npath='1'\npattern='0 0 0 31 2 *'\nmessage=''" }, "broadcasts[0].pattern"],
    [
      "an origin with a path",
      { env: { LOCKSTEP_ORIGINS: "https://a.example,https://b.example/x" } },
      'LOCKSTEP_ORIGINS[1]: found "https://b.example/x"',
    ],
    [
      "an origin in capitals",
      { toml: "[server]\norigins = ['https://A.example']" },
      'server.origins[0]: found "https://A.example", allowed: "https://a.example"',
    ],
    ["an origin with its scheme's own port", { env: { LOCKSTEP_ORIGINS: "https://a.example:443" } }, 'allowed: "https://a.example"'],
    ["any origin", { env: { LOCKSTEP_ORIGINS: "*" } }, 'LOCKSTEP_ORIGINS[0]: found "*"'],
    ["null for an origin", { env: { LOCKSTEP_ORIGINS: "null" } }, 'LOCKSTEP_ORIGINS[0]: found "null"'],
    ["an origin of nothing", { env: { LOCKSTEP_ORIGINS: "https://a.example," } }, 'LOCKSTEP_ORIGINS[1]: found ""'],
    [
      "a proxy that is no address",
      { toml: "[server]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']" },
      'server.trusted_proxies[1]: found "proxy"',
    ],
    ["origins that are no list", { toml: "[server]\norigins = 'https://a.example'" }, "server.origins: found"],
    [
      "an access that is neither",
      { toml: "[[channels]]\npath = 'a'\naccess = 'key'" },
      'channels[0].access: found "key", allowed: "open", "token"',
    ],
    [
      "publishing by nobody",
      { toml: "[[channels]]\npath = 'a'\npublish = 'none'" },
      'channels[0].publish: found "none", allowed: "open", "token", "key"',
    ],
    [
      "an owner that the path has not",
      { toml: "[[channels]]\npath = '{a}'\nowner = '{a}'" },
      'channels[0].owner: found "{a}", allowed: the values of the path (a)',
    ],
    [
      "an owner that the channel's name has not",
      { toml: "[[channels]]\npath = '{a}/{b}'\nname = 'x:{b}'\nowner = 'a'" },
      'channels[0].owner: found "a"',
    ],
    [
      "two values with nothing between them that could not be of a value",
      { toml: "[[channels]]\npath = '{a}/{b}'\nname = '{a}%2{b}'" },
      'channels[0].name: found "{a}%2{b}"',
    ],
    ["origins that are a table", { toml: "[server]\norigins = { a = 1 }" }, 'server.origins: found {"a":1}, allowed: a list'],
    ["proxies that are a date", { toml: "[server]\ntrusted_proxies = 1979-05-27" }, "server.trusted_proxies: found"],
    ["a host that is none", { env: { HOST: "not a host" } }, 'HOST: found "not a host"'],
    ["a host that looks like an address", { toml: "[server]\nhost = '1.2.3.4.5'" }, 'server.host: found "1.2.3.4.5"'],
    [
      "two values side by side",
      { toml: "[[channels]]\npath = '{a}/{b}'\nname = '{a}{b}'" },
      'channels[0].name: found "{a}{b}", allowed: between two values',
    ],
    [
      "an API key that no header can bring",
      { env: { LOCKSTEP_API_KEY: "two words" } },
      "LOCKSTEP_API_KEY: found a value that may be secret",
    ],
    ["no time for publishing", { toml: "[limits]\npublish_timeout = '0s'" }, 'limits.publish_timeout: found "0s"'],
    ["a variable inside quotes", { toml: `[[channels]]\npath = 'a'\nenvelope = '{"a": "$data"}'` }, "channels[0].envelope: found"],
    ["an envelope that would swallow messages", { toml: "[[channels]]\npath = 'a'\nenvelope = ''" }, 'channels[0].envelope: found ""'],
    ["a name with a control character", { toml: '[[channels]]\npath = "a"\nname = "a\\u0001"' }, "channels[0].name: found"],
    ["a syntax error", { toml: "a = 1\nb = = 2" }, "FILE, line 2, column 5: not valid TOML"],
  ];
  test("does not hide a broadcast to no channel behind a kind that is wrong elsewhere", () => {
    const toml = "[[channels]]\npath = 'a/{x}'\nowner = 'zz'\n[[broadcasts]]\npath='nope'\npattern='* * * * * *'\nmessage=''";
    expect(faultsOf({ toml })).toEqual([expect.stringContaining("channels[0].owner"), expect.stringContaining("broadcasts[0].path")]);
  });

  test.each(faults)("with %s is a fault that names it", (_, setup, said) => {
    expect(faultsOf(setup)).toEqual([expect.stringContaining(said)]);
  });

  test.each(["0", "-1", "two", "1.5", "1025", "1e3"])("with %s workers is a fault", (workers) => {
    const found = /^\d+$/.test(workers) ? workers : JSON.stringify(workers);
    const env = { WORKERS: workers, REDIS_URL: "redis://h" };
    expect(faultsOf({ env })).toEqual([`WORKERS: found ${found}, allowed: an integer from 1 to 1024`]);
  });

  test("with several workers and no Redis is a fault that names both", () => {
    const [fault = "", ...others] = faultsOf({ env: { WORKERS: "2" } });
    expect([fault, others]).toEqual([expect.stringMatching(/^WORKERS: found 2, allowed: 1 without a Redis.*redis\.url.*REDIS_URL/), []]);
    expect(faultsOf({ toml: "[server]\nworkers = 3" })).toEqual([expect.stringMatching(/^server\.workers: found 3, /)]);
    expect(faultsOf({ env: { WORKERS: "1" } })).toEqual([]);
    expect(configOf({ toml: "[server]\nworkers = 3", env: { REDIS_URL: "redis://h" } }).workers).toBe(3);
  });

  test.each([
    ["that is private", () => keyPairs.ES256().privateKey.export({ type: "pkcs8", format: "pem" }), "this is a private key"],
    ["of RSA that is too short", () => pemOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey), "this key has 1024 bits"],
    ["on another curve", () => pemOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey), "of another kind"],
    ["for keys, not signatures", () => pemOf(generateKeyPairSync("x25519").publicKey), "of another kind"],
    ["that is none", () => "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"],
  ])("with a key %s is a fault", (_, make, said) => {
    const pem = make();
    const [fault = "", ...others] = faultsOf({ toml: `[auth]\npublic_key = """${pem}"""` });
    expect([fault.includes(said), fault.includes(pem.split("\n")[1] ?? ""), others]).toEqual([true, false, []]);
  });

  test("names every fault at once, one line each, whatever kind of fault it is", () => {
    const toml = `
      [server]
      foo = "many\\nlines"
      timezone = "A/B"
      [[channels]]
      path = "a//b"
      on_gap = 3
      [[channels]]
      path = "{a}"
      history = true
      envelope = "$x $y"
      [[broadcasts]]
      pattern = "never"`;
    const said = faultsOf({ toml, env: { PORT: "x", REDIS_URL: "redis://user:hidden@h/2" } });
    expect(said.map((fault) => fault.split(": found")[0] ?? "").toSorted()).toEqual(
      [
        "server.foo",
        "PORT",
        "server.timezone",
        "REDIS_URL",
        "channels[0].path",
        "channels[0].on_gap",
        "channels[1].history",
        "channels[1].envelope",
        "channels[1].envelope",
        "broadcasts[0].path",
        "broadcasts[0].message",
        "broadcasts[0].pattern",
      ].toSorted(),
    );
    expect(said.join("")).not.toContain("hidden");
    expect(said.join("")).not.toContain("\n");
  });

  test.each([
    { env: { REDIS_URL: "redis:hunter2@host" } },
    { env: { REDIS_URL: ":hunter2@host:6379" } },
    { env: { REDIS_URL: "redis://:hunter2\n@host/7" } },
    { env: { REDIS_URL: "redis://:hunter2%zz@host" } },
    { env: { REDIS_URL: "redis://host?password=hunter2" } },
    { toml: "[redis]\npassword = 'hunter2'" },
    { toml: "[redis]\nurl = ['redis://:hunter2@h']" },
    { toml: "[auth]\nsecret = 'hunter2'" },
    { toml: "auth = 'hunter2'" },
    { toml: "[auth]\npublic_key = 'hunter2'" },
    { toml: "[auth]\njwks_url = 'https://a:hunter2@b'" },
    { toml: "[auth]\njwks_url = 'hunter2'" },
    { toml: "[auth]\napi_key = ['hunter2']" },
  ])("shows no password: %j", (setup) => {
    const said = faultsOf(setup);
    expect(said).toEqual([expect.stringMatching(/^(REDIS_URL|redis|auth)[^\n]*: found /)]);
    expect(said.join("")).not.toContain("hunter2");
  });

  test("that cannot be read is a fault that names the file", () => {
    expect(() => loadConfig({ LOCKSTEP_CONFIG: "/no/such/file.toml", PORT: "x" })).toThrow(
      /^LOCKSTEP_CONFIG, \/no\/such\/file\.toml: cannot be read [^\n]+\nPORT: found "x"[^\n]+$/,
    );
    expect(() => loadConfig({ LOCKSTEP_CONFIG: "/no/such/file.toml" }, "/none/either")).toThrow(/^\/none\/either: cannot be read/);
  });

  test("that is no UTF-8, or no TOML, is a fault beside those of the environment", () => {
    expect(faultsOf({ toml: Buffer.from("a = '\xff'", "latin1"), env: { PORT: "x" } })).toEqual([
      "FILE: not valid TOML (it is not UTF-8)",
      expect.stringContaining("PORT"),
    ]);
    expect(faultsOf({ toml: "= 1", env: { PORT: "x" } })).toEqual([expect.stringContaining("line 1"), expect.stringContaining("PORT")]);
    // What the file would have said of Redis is not known; what the environment says wins.
    expect(faultsOf({ toml: "= 1", env: { WORKERS: "3" } })).toEqual([expect.stringContaining("line 1")]);
    expect(faultsOf({ toml: "= 1", env: { LOCKSTEP_JWT_SECRET: "short" } }).length).toBe(
      faultsOf({ env: { LOCKSTEP_JWT_SECRET: "short" } }).length + 1,
    );
  });
});
