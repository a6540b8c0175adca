import { cron } from "@elysiajs/cron";
import type { Cron } from "croner";
import type { Elysia } from "elysia";
import type { Broadcast } from "./config/config.ts";
import { describeError } from "./log.ts";
import type { SessionContext } from "./sessions/context.ts";

/** A timer may fire a little before its second. */
const EARLY_MS = 100;
const LOOK_BACK_MS = 1000;
const LONGEST_LOOK_BACK_MS = 8 * 366 * 86_400_000;

export interface Schedule {
  readonly broadcasts: readonly Broadcast[];
  /** IANA name. Patterns and `{time}` are in this time zone. */
  readonly timezone: string;
}

/** The scheduled messages of the cluster. Each instance claims every tick on the bus, and one of them publishes it. */
export class Broadcasts {
  readonly #app: Elysia;
  readonly #context: Pick<SessionContext, "hub" | "counts" | "log">;
  #jobs: readonly Cron[] = [];
  #scheduled = "";

  /** @param app takes each job as a plugin */
  constructor(app: Elysia, context: Pick<SessionContext, "hub" | "counts" | "log">) {
    this.#app = app;
    this.#context = context;
  }

  /** Replaces the schedule. Jobs start at once, so call this only while the server listens. An equal schedule changes nothing. */
  schedule({ broadcasts, timezone }: Schedule): void {
    const scheduled = JSON.stringify([broadcasts, timezone]);
    if (scheduled === this.#scheduled) return;
    this.stop();
    this.#scheduled = scheduled;
    this.#jobs = broadcasts.map((broadcast, index) => this.#mount(`broadcast-${index}`, broadcast, timezone));
  }

  /** Stops every job. The plugin itself would let them run after the app has stopped. */
  stop(): void {
    for (const job of this.#jobs) job.stop();
    this.#jobs = [];
    this.#scheduled = "";
  }

  #mount(name: string, broadcast: Broadcast, timezone: string): Cron {
    const { log } = this.#context;
    const { store } = this.#app.use(
      cron({
        name,
        pattern: broadcast.pattern,
        timezone,
        protect: true,
        // Without `catch`, a job that throws ends the process.
        catch: (error) => log.error("a broadcast failed", { channel: broadcast.channel, error: describeError(error) }),
        run: () => this.#claim(job, broadcast, timezone),
      }),
    );
    const job: Cron = requireJob(store.cron[name]);
    return job;
  }

  /** Publishes the tick that is due, if this instance is the first to claim it. */
  async #claim(job: Cron, broadcast: Broadcast, timezone: string): Promise<void> {
    const { hub, counts } = this.#context;
    const due = lastDue(job, Date.now() + EARLY_MS);
    const next = due === undefined ? null : job.nextRun(due);
    if (due === undefined || next === null) return;
    const claimed = await hub.bus.ticks?.claim({
      schedule: scheduleName(broadcast),
      dueMs: due.getTime(),
      periodMs: next.getTime() - due.getTime(),
      channel: broadcast.channel,
      retention: broadcast.retention,
      text: broadcast.message.replaceAll("{time}", formatTime(due, timezone)),
    });
    if (claimed === true) counts.ticks += 1;
  }
}

/**
 * Returns the last time at which a job was due. That time names the tick, so a late instance claims the same tick as the others.
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

/** Formats a time as YYYY-MM-DD HH:MM:SS in a time zone. */
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

/** Returns the same name on every instance with the same broadcast, wherever it stands in their lists. */
function scheduleName({ channel, pattern, message }: Broadcast): string {
  return new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([channel, pattern, message]))
    .digest("hex")
    .slice(0, 32);
}
