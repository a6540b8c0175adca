import type { ConfigFile } from "../config/sources.ts";
import type { Readings } from "../http/routes/operations.ts";
import type { Siblings } from "../http/context.ts";

/** The command that starts a worker. Only the supervisor uses it. */
export const WORKER_COMMAND = "worker";

/** Everything that a new worker needs to know. */
export interface Assignment {
  /** Its name in the log, from 1. */
  readonly number: number;
  /** The port that the supervisor holds for all workers. */
  readonly port: number;
  /** A terminal shows the log. */
  readonly coloured: boolean;
  /** The file of the first start. It decides the settings that need a restart of all workers. */
  readonly firstFile: ConfigFile;
  /** The file of the last reload. It decides all other settings. */
  readonly currentFile: ConfigFile;
}

/** The methods of a worker, which the supervisor calls. */
export type WorkerProtocol = {
  /** Reloads from another file, which has no faults. */
  reload: (file: ConfigFile) => Promise<true>;
  /** Proves that its event loop turns. The counters outlive the worker at the supervisor. */
  beat: () => Promise<readonly object[]>;
  read: () => Promise<Readings>;
  ready: () => boolean;
};

/** The methods of the supervisor, which a worker calls. */
export type SupervisorProtocol = {
  /** The worker's first call. */
  assignment: () => Assignment;
  /** Reports that the worker accepts clients at a url. */
  serves: (url: string) => true;
  /** Reports that the worker cannot serve. The reason is one line. */
  fails: (reason: string) => true;
} & { [N in keyof Siblings]: () => ReturnType<Siblings[N]> };
