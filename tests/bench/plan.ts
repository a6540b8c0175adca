import type { EnvelopeName } from "./envelopes.ts";

/** What a load has to do, as its one argument in JSON. */
export interface Plan {
  /** Where the instances listen; clients take turns. */
  readonly ports: readonly number[];
  readonly envelope: EnvelopeName;
  readonly channels: number;
  /** On each channel. The first is the publisher too. */
  readonly subscribers: number;
  /** Messages in flight on a channel: the next one goes out when all subscribers have one. 0: nothing is published. */
  readonly window: number;
  /** How many channels have messages in flight at a time; the others take turns. */
  readonly active: number;
  /** Instead of a window: messages a second on the first channel, whatever comes back. */
  readonly perSecond?: number;
  /** Of a message, without envelope. */
  readonly bytes: number;
  readonly warmUpMs: number;
  readonly seconds: number;
  /** Whose CPU and memory count. */
  readonly serverPids: readonly number[];
  readonly redisPids: readonly number[];
  /** Where all that runs, and nothing else should. */
  readonly cores: readonly number[];
}

/** What a load has seen: one line of JSON. Rates and times are of the measured seconds, faults of the whole run. */
export interface Measured {
  readonly connections: number;
  readonly joinSeconds: number;
  readonly seconds: number;
  readonly published: number;
  readonly deliveries: number;
  readonly serverCpuUs: number;
  readonly redisCpuUs: number;
  readonly loadCpuUs: number;
  /** What the cores did meanwhile for anybody else, time that a hypervisor took included. */
  readonly othersCpuUs: number;
  /** Of a delivery, from writing the message to reading it. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly faults: Faults;
  /** Of the servers: before anybody joined, and at the end. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** What must not happen, counted over all subscribers. */
export interface Faults {
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  /** Of another channel, never sent, or no message at all. */
  readonly strange: number;
  /** Connections that the server ended. */
  readonly closed: number;
}

export const faultNames = ["lost", "doubled", "reordered", "strange", "closed"] as const satisfies readonly (keyof Faults)[];
