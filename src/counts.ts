/** The counters of one instance. They are plain numbers for the hot path; http/metrics.ts exports them. */
export class Counts {
  joins = 0;
  published = 0;
  publishedBytes = 0;
  /** Deliveries to clients: one message to a thousand clients counts a thousand. */
  delivered = 0;
  deliveredBytes = 0;
  /** Messages that other programs wrote to channels with history. */
  foreign = 0;
  reconnections = 0;
  catchUps = 0;
  /** Gaps that were reported to clients. */
  gaps = 0;
  slowConsumers = 0;
  ticks = 0;
  /** Refused requests, by fault. */
  readonly refusals = new Map<string, number>();
  /** Receives the age of the oldest message of each write to Redis, in seconds. */
  onPublished: (seconds: number) => void = () => undefined;

  refuse(reason: string): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
  }
}
