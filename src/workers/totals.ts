import { AggregatorRegistry, Counter, Gauge, Registry } from "prom-client";

/** What one process counted: what lasts, as far as it is known, and what passes, where it answered. */
interface Source {
  readonly lasting: readonly object[];
  readonly passing: readonly object[] | undefined;
}

/** What all workers count together. A counter never goes down, whoever ends: what the dead have counted stays in it. */
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

  /** A process has ended, having counted this. */
  bury(lasting: readonly object[]): void {
    this.#past = AggregatorRegistry.aggregate([this.#past, lasting]).getMetricsAsArray();
  }

  /**
   * Prometheus text.
   *
   * @param sourcesNow those that live, each once; looked at in the turn in which the dead are, so that none is counted as both
   */
  async text(answered: number, sourcesNow: () => readonly Source[]): Promise<string> {
    this.#answered.set(answered);
    const own = await this.#own.getMetricsAsJSON();
    const sources = sourcesNow();
    const all = [own, this.#past, ...sources.map(({ lasting }) => lasting), ...sources.map(({ passing = [] }) => passing)];
    return AggregatorRegistry.aggregate(all).metrics();
  }
}
