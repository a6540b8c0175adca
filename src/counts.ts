/** What an instance has done so far. Plain numbers, since the hot path counts too; http/metrics.ts shows them. */
export class Counts {
  joins = 0;
  published = 0;
  publishedBytes = 0;
  /** To clients: one message to a thousand of them counts a thousand. */
  delivered = 0;
  deliveredBytes = 0;
  /** Messages of others in Redis on channels with history. */
  foreign = 0;
  reconnections = 0;
  catchUps = 0;
  /** Clients that were told that messages may be missing. */
  gaps = 0;
  slowConsumers = 0;
  ticks = 0;
  /** Requests that were refused, by fault. */
  readonly refusals = new Map<string, number>();
  /** Hears how long the oldest message of each write to Redis was on its way, in seconds. */
  onPublished: (seconds: number) => void = () => undefined;

  refuse(reason: string): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
  }
}
