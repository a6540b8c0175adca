import { describe, expect, test } from "bun:test";
import { dirname } from "node:path";
import { importsOf, sources } from "./support/sources.ts";

/** Files of src that every folder may import. */
const foundations: ReadonlySet<string> = new Set(["counts", "errors", "log", "message", "position"].map((name) => `src/${name}.ts`));

/** The folders that a folder may import beside itself and the foundations, type imports included. Files beside them have rows of their own. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  "src/lib": [],
  "src/channels": ["src/lib"],
  "src/config": ["src/channels", "src/lib"],
  "src/access": ["src/channels", "src/config", "src/lib"],
  "src/bus": ["src/bus/memory", "src/bus/redis", "src/lib"],
  "src/bus/memory": ["src/bus", "src/lib"],
  "src/bus/redis": ["src/bus", "src/lib"],
  "src/hub": ["src/bus", "src/channels", "src/lib"],
  "src/protocols": ["src/access", "src/bus", "src/channels", "src/hub", "src/lib"],
  "src/sessions": ["src/access", "src/bus", "src/channels", "src/hub", "src/lib", "src/protocols", "src/sessions/transports"],
  "src/sessions/transports": ["src/lib", "src/protocols", "src/sessions"],
  "src/http/request": ["src/access", "src/bus", "src/channels", "src/config", "src/hub", "src/lib", "src/sessions"],
  "src/http/routes": [
    "src/access",
    "src/bus",
    "src/channels",
    "src/config",
    "src/http",
    "src/http/request",
    "src/hub",
    "src/lib",
    "src/protocols",
    "src/sessions",
    "src/sessions/transports",
  ],
  "src/http": [
    "src/access",
    "src/bus",
    "src/channels",
    "src/config",
    "src/http/request",
    "src/http/routes",
    "src/hub",
    "src/lib",
    "src/protocols",
    "src/sessions",
    "src/sessions/transports",
  ],
  "src/broadcasts.ts": ["src/config", "src/sessions"],
  "src/workers": ["src/config", "src/http", "src/http/routes", "src/lib"],
  "src/server.ts": [
    "src/broadcasts.ts",
    "src/access",
    "src/bus",
    "src/channels",
    "src/config",
    "src/http",
    "src/http/request",
    "src/http/routes",
    "src/hub",
    "src/lib",
    "src/protocols",
    "src/sessions",
    "src/sessions/transports",
  ],
  "src/remote": ["client", "src/channels", "src/lib"],
  "src/commands": ["src/access", "src/config", "src/http", "src/http/routes", "src/lib", "src/remote", "src/server.ts", "src/workers"],
  "src/main.ts": ["src/commands", "src/config", "src/lib", "src/workers"],
  // Browsers load both of them: nothing of src but what the generator of the close codes reads.
  client: ["src/errors.ts"],
  console: ["console/text"],
  "console/text": ["console"],
  "console/net": ["client", "console", "console/text"],
  "console/channel": ["client", "console", "console/net", "console/text"],
  "console/app": ["client", "console", "console/channel", "console/net", "console/text"],
};

/** Packages that only some places may know. */
const keepers: Readonly<Record<string, readonly string[]>> = {
  ioredis: ["src/bus/redis/connection.ts", "src/bus/redis/topology.ts"],
  jose: ["src/access/"],
  "node-ws": ["src/remote/socket.ts"],
  "prom-client": ["src/http/routes/operations.ts", "src/workers/totals.ts"],
  re2js: ["src/channels/"],
  "smol-toml": ["src/config/sources.ts"],
  "@sinclair/typebox": ["src/access/", "src/config/", "src/http/", "src/remote/"],
  elysia: ["src/http/app.ts", "src/broadcasts.ts", "src/server.ts"],
  "@elysiajs/cron": ["src/broadcasts.ts"],
};

/** The row of a file: its own, or its folder's. */
function rowOf(file: string): string {
  return file in allowed ? file : dirname(file);
}

function mayImport(file: string, target: string): boolean {
  const [row, targetRow] = [rowOf(file), rowOf(target)];
  if (target.startsWith("src/") && foundations.has(target)) return row.startsWith("src") || (allowed[row] ?? []).includes(target);
  return row === targetRow || (allowed[row] ?? []).includes(targetRow);
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** The strongly connected components of more than one file (Tarjan). */
function circles(): string[] {
  const found: string[] = [];
  const indexes = new Map<string, number>();
  const open: string[] = [];
  function visit(file: string): number {
    const index = indexes.size;
    indexes.set(file, index);
    open.push(file);
    let lowest = index;
    for (const target of importsOf(file)) {
      if (!sources.includes(target)) continue;
      if (!indexes.has(target)) lowest = Math.min(lowest, visit(target));
      else if (open.includes(target)) lowest = Math.min(lowest, indexes.get(target) ?? lowest);
    }
    if (lowest === index) {
      const members = open.splice(open.indexOf(file));
      if (members.length > 1) found.push(members.toSorted().join(" "));
    }
    return lowest;
  }
  for (const file of sources) if (!indexes.has(file)) visit(file);
  return found;
}

describe.each(sources)("%s", (file) => {
  test("has a row in the table, and imports only what the row allows", () => {
    expect(foundations.has(file) || rowOf(file) in allowed).toBe(true);
    const targets = importsOf(file).filter((target) => sources.includes(target));
    expect(targets.filter((target) => !mayImport(file, target))).toEqual([]);
  });

  test("imports only packages that it may know", () => {
    const packages = importsOf(file).filter((target) => !/^(?:src|client|console)\/|^package\.json$/.test(target));
    const refused = packages.filter((name) => keepers[packageOf(name)]?.every((place) => !file.startsWith(place)) === true);
    expect(refused).toEqual([]);
    if (!file.startsWith("src/") && file !== "client/generate-close-codes.ts") expect(packages).toEqual([]);
  });
});

test("no files import each other in a circle, types included", () => {
  expect(circles()).toEqual([]);
});
