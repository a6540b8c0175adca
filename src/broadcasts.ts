import { cron } from "@elysiajs/cron";
import type { Cron } from "croner";
import { Elysia } from "elysia";
import type { Tick } from "./bus/ticks.ts";
import type { Broadcast } from "./config/config.ts";
import { describeError, type Log } from "./log.ts";

/** A timer may fire a little before its second. */
const EARLY_MS = 100;
const LOOK_BACK_MS = 1000;
const LONGEST_LOOK_BACK_MS = 8 * 366 * 86_400_000;

export interface BroadcastsOptions {
  readonly log: Log;
  readonly publishTick: (tick: Tick) => Promise<void>;
}

/** Which messages come when. */
export interface Schedule {
  readonly broadcasts: readonly Broadcast[];
  /** IANA name; patterns and `{time}` are in it. */
  readonly timezone: string;
}

/** The scheduled messages of the cluster: each instance claims every tick on the bus, and one of them publishes it. */
export class Broadcasts {
  readonly #options: BroadcastsOptions;
  #jobs: readonly Cron[] = [];
  #scheduled = "";

  constructor(options: BroadcastsOptions) {
    this.#options = options;
  }

  /** From now on these come, and no others. */
  schedule({ broadcasts, timezone }: Schedule): void {
    const scheduled = JSON.stringify([broadcasts, timezone]);
    if (scheduled === this.#scheduled) return;
    this.stop();
    this.#scheduled = scheduled;
    const plugin = new Elysia({ name: "broadcasts" });
    this.#jobs = broadcasts.map((broadcast, index) => this.#job(plugin, `broadcast-${index}`, broadcast, timezone));
    for (const job of this.#jobs) job.resume();
  }

  stop(): void {
    for (const job of this.#jobs) job.stop();
    this.#jobs = [];
    this.#scheduled = "";
  }

  /** A job that rests until it is resumed. */
  #job(plugin: Elysia, name: string, broadcast: Broadcast, timezone: string): Cron {
    const { log, publishTick } = this.#options;
    const claim = async (): Promise<void> => {
      const due = lastDue(job, Date.now() + EARLY_MS);
      const next = due === undefined ? null : job.nextRun(due);
      if (due === undefined || next === null) return;
      await publishTick({
        schedule: scheduleName(broadcast),
        dueMs: due.getTime(),
        periodMs: next.getTime() - due.getTime(),
        channel: broadcast.channel,
        retention: broadcast.retention,
        text: broadcast.message.replaceAll("{time}", formatTime(due, timezone)),
      });
    };
    const added = plugin.use(
      cron({
        name,
        pattern: broadcast.pattern,
        timezone,
        paused: true,
        protect: true,
        // Without `catch` a job that throws ends the process.
        catch: (error) => log.error("a broadcast failed", { channel: broadcast.channel, error: describeError(error) }),
        run: claim,
      }),
    );
    const job: Cron = requireJob(added.store.cron[name]);
    return job;
  }
}

/**
 * The last time at which a job was due. The tick is named by it, not by when this instance got round to it: a late instance
 * must claim the same tick as the others.
 */
export function lastDue(job: Cron, nowMs: number): Date | undefined {
  for (let backMs = LOOK_BACK_MS; backMs <= LONGEST_LOOK_BACK_MS; backMs *= 2) {
    let due: Date | undefined;
    let next = job.nextRun(new Date(nowMs - backMs));
    while (next !== null && next.getTime() <= nowMs) {
      due = next;
      next = job.nextRun(next);
    }
    if (due !== undefined) return due;
  }
  return undefined;
}

function requireJob(job: Cron | undefined): Cron {
  if (job === undefined) throw new Error("the cron plugin did not keep its job");
  return job;
}

/** YYYY-MM-DD HH:MM:SS in a time zone. */
export function formatTime(time: Date, timezone: string): string {
  const fields = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).formatToParts(time);
  const field = (type: Intl.DateTimeFormatPartTypes): string => fields.find((part) => part.type === type)?.value ?? "";
  return `${field("year")}-${field("month")}-${field("day")} ${field("hour")}:${field("minute")}:${field("second")}`;
}

/** The same on every instance with the same configuration, wherever in the list the broadcast stands. */
function scheduleName({ channel, pattern, message }: Broadcast): string {
  return new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([channel, pattern, message]))
    .digest("hex")
    .slice(0, 32);
}
