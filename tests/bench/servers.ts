import { existsSync } from "node:fs";
import { join } from "node:path";
import { executable } from "../support/executable.ts";
import type { EnvelopeName } from "./envelopes.ts";
import { forNode } from "./node-servers.ts";

/** Something that is measured. */
export interface ServerKind {
  readonly name: string;
  /** What it is, in a few words. */
  readonly about: string;
  readonly envelope: EnvelopeName;
  readonly needsRedis: boolean;
  /** What its figures are divided by. */
  readonly control?: string;
  /** Why it cannot be measured here; undefined where it can. */
  missing(): string | undefined;
  command(): Promise<readonly string[]>;
}

const folder = join(import.meta.dir, "servers");
const config = join(import.meta.dir, "bench.toml");
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/**
 * All that can be measured.
 *
 * @param executableFile instead of the one that is built from this tree
 * @param againstFile another build: the control of each of this build's servers
 */
export function serverKinds(executableFile?: string, againstFile?: string): readonly ServerKind[] {
  const kinds = kindsOf(executableFile);
  if (againstFile === undefined) return kinds;
  return kinds.flatMap((kind) => {
    if (!kind.name.startsWith("lockstep")) return [kind];
    const { control: _, ...rest } = kind;
    const before = { ...rest, name: `${kind.name}-before`, about: `${kind.about}, of another build` };
    return [
      { ...kind, control: before.name },
      { ...before, command: () => Promise.resolve([againstFile, "--config", config]) },
    ];
  });
}

function kindsOf(executableFile: string | undefined): readonly ServerKind[] {
  const lockstep = async (): Promise<string[]> => [executableFile ?? (await executable()), "--config", config];
  return [
    {
      name: "lockstep",
      about: "the embedded bus",
      envelope: "rooms",
      needsRedis: false,
      control: "bun",
      missing: nothing,
      command: lockstep,
    },
    {
      name: "bun",
      about: "bare Bun.serve and its topics",
      envelope: "rooms",
      needsRedis: false,
      missing: nothing,
      command: onBun("bun.ts"),
    },
    {
      name: "lockstep-redis",
      about: "over Redis, without history",
      envelope: "rooms",
      needsRedis: true,
      control: "bun-redis",
      missing: tools("redis-server"),
      command: lockstep,
    },
    {
      name: "lockstep-history",
      about: "over Redis, with a history of 100 messages",
      envelope: "logs",
      needsRedis: true,
      control: "lockstep-redis",
      missing: tools("redis-server"),
      command: lockstep,
    },
    {
      name: "bun-redis",
      about: "bare Bun.serve, its topics and ioredis",
      envelope: "rooms",
      needsRedis: true,
      missing: tools("redis-server"),
      command: onBun("bun-redis.ts"),
    },
    {
      name: "ws",
      about: "ws on Node, with ioredis",
      envelope: "rooms",
      needsRedis: true,
      control: "lockstep-redis",
      missing: tools("redis-server", "node"),
      command: onNode("ws.ts"),
    },
    {
      name: "socket.io",
      about: "Socket.IO on Node, with its Redis adapter",
      envelope: "socketIo",
      needsRedis: true,
      control: "lockstep-redis",
      missing: tools("redis-server", "node"),
      command: onNode("socket.io.ts"),
    },
    {
      name: "nchan",
      about: "nginx with nchan over Redis, which keeps 100 messages",
      envelope: "rooms",
      needsRedis: true,
      control: "lockstep-history",
      missing: () => tools("redis-server", "nginx")() ?? (existsSync(nchanModule) ? undefined : `there is no ${nchanModule}`),
      command: async () => [...(await onBun("nchan.ts")()), nchanModule],
    },
  ];
}

function nothing(): undefined {
  return undefined;
}

/** What a server needs of this machine. */
function tools(...names: readonly string[]): () => string | undefined {
  return () => {
    const absent = names.filter((name) => Bun.which(name) === null);
    return absent.length === 0 ? undefined : `there is no ${absent.join(" and no ")} in PATH`;
  };
}

function onBun(file: string): () => Promise<string[]> {
  return () => Promise.resolve([process.execPath, join(folder, file)]);
}

function onNode(file: string): () => Promise<string[]> {
  return async () => ["node", await forNode(join(folder, file))];
}
