import type { ConfigFile } from "../config/file.ts";
import type { Readings } from "../http/routes/metrics.ts";
import type { Siblings } from "../http/context.ts";

/** What a process of the server is called by on the command line; nobody else says it. */
export const WORKER_WORD = "worker";

/** What a worker is to go by. */
export interface Order {
  /** Names it in the log, from 1. */
  readonly number: number;
  /** The one that was taken for all. */
  readonly port: number;
  /** Whether a terminal shows the log. */
  readonly coloured: boolean;
  /** The file by which the first workers started: what takes a restart of all is as it says. */
  readonly first: ConfigFile;
  /** The file by which they go now. */
  readonly now: ConfigFile;
}

/** What a worker answers to the supervisor. */
export type WorkerAnswers = {
  /** Goes by another file, which has no faults. */
  reload: (file: ConfigFile) => Promise<true>;
  /** The worker turns; what it counts, so that it is known when it is gone. */
  beat: () => Promise<readonly object[]>;
  read: () => Promise<Readings>;
  ready: () => boolean;
};

/** What the supervisor answers to a worker. */
export type SupervisorAnswers = {
  /** Asked once, first of all. */
  order: () => Order;
  /** The worker accepts clients at a url. */
  serves: (url: string) => true;
  /** The worker cannot serve, for a reason in one line. */
  fails: (reason: string) => true;
} & { [N in keyof Siblings]: () => ReturnType<Siblings[N]> };
