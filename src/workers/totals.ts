import { AggregatorRegistry, Counter, Gauge, Registry } from "prom-client";

/** The metrics of one process: its last known counters, and its gauges if it answered. */
interface Source {
  readonly lasting: readonly object[];
  readonly passing: readonly object[] | undefined;
}

/** The metrics of all workers together. A counter never goes down: it includes workers that have ended. */
export class Totals {
  readonly #own = new Registry();
  readonly #answered: Gauge;
  readonly #restarts: Counter;
  #past: readonly object[] = [];

  constructor() {
    const registers = [this.#own];
    this.#answered = new Gauge({ name: "lockstep_workers", help: "Workers that answered", registers });
    this.#restarts = new Counter({ name: "lockstep_worker_restarts_total", help: "Workers that were started again", registers });
  }

  restarted(): void {
    this.#restarts.inc();
  }

  /** Keeps the counters of a process that has ended. */
  keep(lasting: readonly object[]): void {
    this.#past = AggregatorRegistry.aggregate([this.#past, lasting]).getMetricsAsArray();
  }

  /**
   * Prometheus text.
   *
   * @param sourcesNow the living processes, read in the same turn as the kept counters, so that no process counts twice
   */
  async text(answered: number, sourcesNow: () => readonly Source[]): Promise<string> {
    this.#answered.set(answered);
    const own = await this.#own.getMetricsAsJSON();
    const sources = sourcesNow();
    const all = [own, this.#past, ...sources.map(({ lasting }) => lasting), ...sources.map(({ passing = [] }) => passing)];
    return AggregatorRegistry.aggregate(all).metrics();
  }
}
