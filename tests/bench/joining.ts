import type { Socket } from "bun";
import type { Envelope } from "./envelopes.ts";
import { LoadClient } from "./load-client.ts";
import type { Plan } from "./plan.ts";
import type { Traffic } from "./traffic.ts";

/** How many clients join at a time. */
const CONCURRENCY = 128;
const PATIENCE_MS = 20_000;
/** Of one address: a port is 16 bits, and about half of them are for clients. */
const CLIENTS_PER_ADDRESS = 20_000;

/** Joins all clients; rejects where the server does not let one in. The first of each channel joins before the others, since it publishes. */
export async function joinAll(plan: Plan, envelope: Envelope, traffic: Traffic): Promise<LoadClient[]> {
  const total = plan.channels * plan.subscribers;
  const clients: LoadClient[] = [];
  const waiting = new Map<LoadClient, (fault?: string) => void>();
  traffic.onJoined = (client) => waiting.get(client)?.();
  traffic.onClosed = (client) => waiting.get(client)?.(`a client was not let in: ${client.refusal || "the connection was closed"}`);
  const socket = {
    open: (opened: Socket<LoadClient>) => opened.data.opened(opened),
    data: (from: Socket<LoadClient>, data: Uint8Array) => traffic.received(from.data, data),
    drain: (drained: Socket<LoadClient>) => drained.data.drained(),
    close: (closed: Socket<LoadClient>) => closed.data.closed(),
    error: (failed: Socket<LoadClient>) => failed.data.closed(),
  };
  const join = async (index: number): Promise<void> => {
    const number = index % plan.channels;
    const channel = traffic.channels[number];
    const port = plan.ports[(index + Math.floor(index / plan.channels)) % plan.ports.length];
    if (channel === undefined || port === undefined) throw new Error("the plan has no channels or no ports");
    const client = new LoadClient(number, channel.ledger, envelope, traffic);
    clients.push(client);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`a client has waited ${PATIENCE_MS} ms to join`)), PATIENCE_MS);
    waiting.set(client, (fault) => (fault === undefined ? resolve() : reject(new Error(fault))));
    const hostname = `127.0.0.${1 + Math.floor(index / CLIENTS_PER_ADDRESS)}`;
    try {
      await Bun.connect({ hostname, port, socket, data: client });
      await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(client);
    }
  };
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < total) {
      next += 1;
      await join(next - 1);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return clients;
}
