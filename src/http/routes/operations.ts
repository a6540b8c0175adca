import { Problem, faults } from "../../errors.ts";
import type { SessionContext } from "../../sessions/context.ts";
import { credentialOf } from "../authorize.ts";
import type { Instance } from "../context.ts";
import { readdirSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry, type Aggregator } from "prom-client";

/** `GET /livez`: the process responds. If processes share a port, each of them answers for all. */
export async function getLiveness(instance: Instance, request: Request): Promise<Response> {
  const { origins } = instance.rules;
  origins.require(request.headers);
  if ((await instance.siblings?.live()) === false) throw new Problem("workers-away", "A worker does not answer.");
  return Response.json({ status: "live" }, { headers: origins.corsHeaders(request.headers) });
}

/**
 * `GET /readyz`: clients may connect. If processes share a port, each of them answers for all.
 *
 * @throws Problem `draining`, `bus-away`, `workers-away`
 */
export async function getReadiness(instance: Instance, request: Request): Promise<Response> {
  const { rules, sessions, siblings } = instance;
  const { origins } = rules;
  origins.require(request.headers);
  instance.accept();
  if (!sessions.hub.bus.ready()) throw new Problem("bus-away", "The bus is away, or not every subscription is live.");
  if ((await siblings?.ready()) === false) throw new Problem("workers-away", "A worker is not ready, or is starting.");
  return Response.json({ status: "ready" }, { headers: origins.corsHeaders(request.headers) });
}

const LAG_RESOLUTION_MS = 10;
const LAG_QUANTILE = 99;
const NANOSECONDS = 1e9;
/** From half a millisecond to the time after which a publish is given up. */
const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** The counts of one process, in the form in which prom-client sums them up over processes. */
export interface Readings {
  /** Counters and histograms. They stay in the sum when the process has ended. */
  readonly lasting: readonly object[];
  /** Gauges. They count only while the process lives. */
  readonly passing: readonly object[];
}

class Registries {
  readonly all = new Registry();
  readonly lasting = new Registry();
  readonly passing = new Registry();
}

/** `GET /metrics`: the metrics as Prometheus text. It needs the API key if any key is set. */
export async function getMetrics({ rules, siblings, metrics }: Instance, request: Request): Promise<Response> {
  const { policy, origins } = rules;
  origins.require(request.headers);
  const principal = await policy.identify(credentialOf(request));
  if (policy.keyed) policy.requireKey(principal);
  // A partial sum would look as if counters had gone down, so it is refused.
  const text = await (siblings?.metrics() ?? metrics.text());
  if (text === undefined) throw new Problem("workers-away", "The counts of all workers are not known.");
  return new Response(text, { headers: { ...origins.corsHeaders(request.headers), "content-type": metrics.contentType } });
}

/**
 * The counts of this process as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/). They are read only on request, so
 * the hot path increments plain numbers.
 */
export class Metrics {
  readonly #registries = new Registries();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });

  constructor(sessions: SessionContext) {
    const { all, lasting } = this.#registries;
    this.#lag.enable();
    addCounters(this.#registries, sessions);
    addGauges(this.#registries, sessions, () => this.#lagSeconds());
    addProcess(this.#registries);
    const duration = new Histogram({
      name: "lockstep_publish_duration_seconds",
      help: "How long the oldest message of each write to Redis was on its way, from its acceptance to the answer",
      buckets: DURATION_BUCKETS_S,
      registers: [all, lasting],
    });
    sessions.counts.onPublished = (seconds) => duration.observe(seconds);
  }

  get contentType(): string {
    return this.#registries.all.contentType;
  }

  text(): Promise<string> {
    return this.#registries.all.metrics();
  }

  async read(): Promise<Readings> {
    return { lasting: await this.readLasting(), passing: await this.#registries.passing.getMetricsAsJSON() };
  }

  readLasting(): Promise<readonly object[]> {
    return this.#registries.lasting.getMetricsAsJSON();
  }

  /** Stops measuring the event loop. */
  close(): void {
    this.#lag.disable();
  }

  #lagSeconds(): number {
    const seconds = this.#lag.percentile(LAG_QUANTILE) / NANOSECONDS;
    this.#lag.reset();
    return seconds;
  }
}

function addCounters({ all, lasting }: Registries, { counts }: SessionContext): void {
  const counters: readonly [name: string, help: string, value: () => number][] = [
    ["lockstep_joins_total", "Clients that joined a channel", () => counts.joins],
    ["lockstep_messages_published_total", "Messages that clients sent to the bus", () => counts.published],
    ["lockstep_published_bytes_total", "Bytes of the messages that clients sent to the bus", () => counts.publishedBytes],
    ["lockstep_messages_delivered_total", "Messages delivered, one for each client", () => counts.delivered],
    ["lockstep_delivered_bytes_total", "Bytes of the messages delivered, for each client", () => counts.deliveredBytes],
    ["lockstep_foreign_messages_total", "Messages from elsewhere, not delivered on channels with history", () => counts.foreign],
    ["lockstep_bus_reconnections_total", "Times that all subscriptions were restored", () => counts.reconnections],
    ["lockstep_catch_ups_total", "Channels brought to the end of their history after a loss", () => counts.catchUps],
    ["lockstep_gaps_total", "Clients told that messages may be missing", () => counts.gaps],
    ["lockstep_slow_consumers_closed_total", "Clients closed because they read too slowly", () => counts.slowConsumers],
    ["lockstep_ticks_total", "Scheduled broadcasts that this instance published", () => counts.ticks],
  ];
  for (const [name, help, value] of counters) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [all, lasting],
      collect: () => {
        counter.reset();
        counter.inc(value());
      },
    });
  }
  const refusals = new Counter({
    name: "lockstep_refusals_total",
    help: "Requests and clients refused, by the name of the fault",
    labelNames: ["reason"],
    registers: [all, lasting],
    collect: () => {
      refusals.reset();
      // Each reason starts with 0. Prometheus sees no increase in a counter that appears with its first count.
      for (const reason of Object.keys(faults)) refusals.inc({ reason }, counts.refusals.get(reason) ?? 0);
    },
  });
}

function addGauges(registries: Registries, { hub, registry }: SessionContext, lagSeconds: () => number): void {
  const gauges: readonly [name: string, help: string, value: () => number, aggregator?: Aggregator][] = [
    ["lockstep_connections", "Clients connected", () => registry.count],
    ["lockstep_channels", "Channels with clients here; one with clients on several workers counts for each", () => hub.channels],
    ["lockstep_bus_up", "1 while messages go out and every subscription is live", () => (hub.bus.ready() ? 1 : 0), "min"],
    ["lockstep_publish_queue_messages", "Messages on their way to the bus", () => hub.bus.waiting],
    ["lockstep_event_loop_lag_seconds", "Delay of the event loop, 99th percentile since the last look", lagSeconds, "max"],
  ];
  for (const gauge of gauges) addGauge(registries, ...gauge);
}

/** Bun lacks what prom-client's own process metrics need. */
function addProcess(registries: Registries): void {
  const startedSeconds = Date.now() / 1000 - process.uptime();
  addGauge(registries, "process_start_time_seconds", "When the process started, in seconds since 1970", () => startedSeconds, "min");
  addGauge(registries, "process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss());
  addGauge(registries, "process_open_fds", "Open file descriptors, where the system tells", openDescriptors);
  const cpu: Counter = new Counter({
    name: "process_cpu_seconds_total",
    help: "CPU time, user and system",
    registers: [registries.all, registries.lasting],
    collect: () => {
      const { user, system } = process.cpuUsage();
      cpu.reset();
      cpu.inc((user + system) / 1e6);
    },
  });
}

/** @param aggregator combines the values of several processes */
function addGauge({ all, passing }: Registries, name: string, help: string, value: () => number, aggregator: Aggregator = "sum"): void {
  const gauge: Gauge = new Gauge({ name, help, aggregator, registers: [all, passing], collect: () => gauge.set(value()) });
}

function openDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return Number.NaN;
  }
}
