import { expect, test } from "bun:test";
import { dirname, join, normalize } from "node:path";

const src = join(import.meta.dir, "../src");

/** From low to high. A file imports its own floor's folder and what lies below; files of one floor are listed together. */
const floors: readonly (readonly string[])[] = [
  ["lib/", "counts.ts", "errors.ts", "log.ts", "message.ts", "position.ts", "usage-error.ts"],
  ["channels/"],
  ["remote/"],
  ["config/"],
  ["access/"],
  ["bus/"],
  ["hub/"],
  ["protocols/"],
  ["sessions/"],
  ["http/", "broadcasts.ts"],
  ["workers/"],
  ["server.ts"],
  ["commands/"],
  ["main.ts"],
];

/** Packages that only some places may know. */
const keepers: Readonly<Record<string, readonly string[]>> = {
  ioredis: ["bus/"],
  jose: ["access/"],
  "node-ws": ["remote/socket.ts"],
  "prom-client": ["http/routes/metrics.ts", "workers/totals.ts"],
  recheck: ["channels/"],
  re2js: ["channels/"],
  elysia: ["http/app.ts", "broadcasts.ts"],
  "@elysiajs/cron": ["broadcasts.ts"],
};

const files = [...new Bun.Glob("**/*.ts").scanSync(src)].filter((file) => !file.endsWith(".d.ts"));

function floorOf(file: string): number {
  return floors.findIndex((floor) => floor.some((place) => (place.endsWith("/") ? file.startsWith(place) : file === place)));
}

async function importsOf(file: string): Promise<string[]> {
  const source = await Bun.file(join(src, file)).text();
  return [...source.matchAll(/^(?:import|export) [^;]*?from "([^"]+)"/gms)].map((match) => match[1] ?? "");
}

test.each(files)("%s stands on a floor, and imports nothing from above", async (file) => {
  expect(floorOf(file)).not.toBe(-1);
  for (const specifier of await importsOf(file)) {
    if (!specifier.startsWith(".")) {
      const places = keepers[specifier];
      if (places !== undefined) expect([file, specifier, places.some((place) => file.startsWith(place))]).toEqual([file, specifier, true]);
      continue;
    }
    const target = normalize(join(dirname(file), specifier));
    if (target.startsWith("..") || !target.endsWith(".ts")) continue;
    expect([file, target, floorOf(target) <= floorOf(file)]).toEqual([file, target, true]);
  }
});
