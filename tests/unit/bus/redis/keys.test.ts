import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { ChannelKeys, clusterChannel } from "../../../../src/bus/redis/keys.ts";
import { findProgram } from "../../../support/programs.ts";
import { freePort } from "../../../support/redis.ts";

const names = [
  "a",
  "rooms:a",
  "房间",
  "{}",
  "{",
  "}",
  "}{",
  "{tag}",
  "a{b}c",
  "{{x}}",
  "%7B",
  "%",
  "with space",
  "*",
  "__proto__",
  "x".repeat(300),
  "\u{1f600}",
];
const prefixes = ["", "apart:", "{app}:", "a{b}c:", "{a}{b}", "{a}}", "{a}{", "}{a}", "%", "房间:", "lockstep:"];

let redis: Bun.Subprocess;
let folder: string;
let client: Redis;

/** A Redis that is asked for slots, as a node of a Cluster. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lockstep-redis-"));
  const [port, clusterPort] = [await freePort(), await freePort()];
  const words = [
    "--port",
    String(port),
    "--cluster-port",
    String(clusterPort),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--cluster-enabled",
    "yes",
  ];
  redis = Bun.spawn([findProgram("redis-server"), ...words, "--dir", folder], { stdout: "ignore", stderr: "ignore" });
  client = new Redis(port, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on("error", () => "it is tried again");
  await client.ping();
});
afterAll(async () => {
  client.disconnect();
  redis.kill("SIGKILL");
  await redis.exited;
  rmSync(folder, { recursive: true, force: true });
});

const slot = (key: string): Promise<number> => client.cluster("KEYSLOT", key);

function keysOf(keys: ChannelKeys): string[] {
  return [
    keys.head,
    keys.log,
    keys.once("a key {b}"),
    keys.tick("schedule"),
    keys.instances,
    keys.present("i1"),
    keys.present(""),
    keys.announced,
  ];
}

test.each(prefixes)(
  "all keys of a channel are in the slot of its name, and begin as an ACL may say, with the prefix %p",
  async (prefix) => {
    for (const name of names) {
      const expected = await slot(clusterChannel(prefix, name));
      for (const key of keysOf(new ChannelKeys(prefix, name))) {
        expect({ key, slot: await slot(key) }).toEqual({ key, slot: expected });
        expect(key.startsWith(`${prefix}lockstep:`)).toBe(true);
      }
    }
  },
);

test("no two channels share a key", () => {
  const all = names.flatMap((name) => keysOf(new ChannelKeys("", name)));
  expect(new Set(all).size).toBe(all.length);
});

test.each(["{}", "a}b", "a{b", "{}{a}", "}{"])(
  "a prefix with braces that are no hash tag, %p, would part them: it is no sound one",
  async (prefix) => {
    const own = await slot(clusterChannel(prefix, "a"));
    expect(await slot(new ChannelKeys(prefix, "a").head)).not.toBe(own);
  },
);
