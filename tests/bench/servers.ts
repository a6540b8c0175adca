import { join } from "node:path";
import { executable } from "../support/executable.ts";
import type { EnvelopeName } from "./envelopes.ts";

/** Something that is measured. */
export interface ServerKind {
  readonly name: string;
  readonly envelope: EnvelopeName;
  readonly needsRedis: boolean;
  /** What its figures are divided by. */
  readonly control?: string;
  /** What it says beside the figures: its version, and what has to be known of it. */
  describe(): string;
  /** Why it cannot be measured here; undefined where it can. */
  missing(): string | undefined;
  command(): Promise<readonly string[]>;
}

const folder = join(import.meta.dir, "servers");
const config = join(import.meta.dir, "bench.toml");
const present = (): undefined => undefined;

function redisMissing(): string | undefined {
  return Bun.which("redis-server") === null ? "there is no redis-server in PATH" : undefined;
}

const withBun = (file: string) => (): Promise<string[]> => Promise.resolve([process.execPath, join(folder, file)]);

function lockstep(executableFile: string | undefined) {
  return {
    describe: () => "the compiled executable, messages_per_second = 0",
    missing: present,
    command: async (): Promise<string[]> => [executableFile ?? (await executable()), "--config", config],
  };
}

/** All that can be measured. @param executableFile instead of the one that is built from this tree */
export function serverKinds(executableFile?: string): readonly ServerKind[] {
  return [
    { name: "lockstep", envelope: "rooms", needsRedis: false, control: "bun", ...lockstep(executableFile) },
    {
      name: "bun",
      envelope: "rooms",
      needsRedis: false,
      describe: () => `Bun ${Bun.version}`,
      missing: present,
      command: withBun("bun.ts"),
    },
    {
      name: "lockstep-redis",
      envelope: "rooms",
      needsRedis: true,
      control: "bun-redis",
      ...lockstep(executableFile),
      missing: redisMissing,
    },
    {
      name: "lockstep-history",
      envelope: "logs",
      needsRedis: true,
      control: "lockstep-redis",
      ...lockstep(executableFile),
      missing: redisMissing,
    },
    {
      name: "bun-redis",
      envelope: "rooms",
      needsRedis: true,
      describe: () => `Bun ${Bun.version}, ioredis`,
      missing: redisMissing,
      command: withBun("bun-redis.ts"),
    },
  ];
}
