import type { ServerWebSocket } from "bun";
import type { Policy } from "../access/policy.ts";
import { subjectOf } from "../access/principal.ts";
import type { Sender } from "../bus/bus.ts";
import type { OnGap } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import { closeCode, faults, Problem, saysPosition, type ClosingFaultName, type FaultName } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import type { Seat } from "../hub/local-channel.ts";
import type { Subscriber } from "../hub/subscriber.ts";
import { describeError, type Log } from "../log.ts";
import type { Message } from "../message.ts";
import type { Refusals } from "./refusal-log.ts";
import { blame } from "./blame.ts";
import type { Client, Connections, Guest } from "./registry.ts";
import { TokenBucket } from "../lib/token-bucket.ts";

type Socket = ServerWebSocket<Connection>;

/** Bun says when a socket has drained, but only if it was full. */
const DRAINED_CHECK_MS = 100;

/** What all clients of an instance share. */
export interface ClientHouse {
  readonly hub: Hub;
  readonly connections: Connections;
  readonly limits: ClientLimits;
  readonly counts: Counts;
  readonly refusals: Refusals;
  readonly log: Log;
}

/** They may change at any time. */
export interface ClientLimits {
  /** 0: no limit. */
  readonly messagesPerSecond: number;
  readonly slowConsumerBytes: number;
}

/**
 * One WebSocket client on one channel. `open`, `message`, `drain`, `pong`, `ping` and `close` are called by the server with the
 * raw socket (see http/ws.ts). They are synchronous, so a client's frames keep their order, and they never throw: Bun would end the process.
 */
export class Connection implements Client, Sender, Subscriber {
  place = -1;
  readonly guest: Guest;
  readonly #house: ClientHouse;
  readonly #seat: Seat;
  readonly #hello: boolean;
  /** From its first message on: most clients only listen. */
  #rate: TokenBucket | undefined;
  /** What it is closed for when it publishes. */
  #unheard: "forbidden" | "token-expired" | undefined;
  #socket: Socket | undefined;
  #retiring: ClosingFaultName | undefined;
  #muted = false;
  #broken = false;
  /** Goes on with the replay when the client has read what it was sent. */
  #onDrained: (() => void) | undefined;
  /** Whether anything was heard since the last look, and since when nothing was. */
  #heard = false;
  #quietSinceMs = Date.now();
  readonly #startedMs = this.#quietSinceMs;
  #pingDueMs: number;

  /** @param hello whether the first frame says where what follows begins */
  constructor(house: ClientHouse, seat: Seat, guest: Guest, policy: Policy, hello: boolean) {
    this.guest = guest;
    this.#house = house;
    this.#seat = seat;
    this.reconsider(policy);
    this.#hello = hello;
    this.#pingDueMs = this.#quietSinceMs + house.connections.pingIntervalMs;
  }

  get onGap(): OnGap {
    const { kind } = this.#seat.target;
    // Who can be told where to go on is told.
    return kind.history === undefined ? kind.onGap : "close";
  }

  get subject(): string | null {
    return subjectOf(this.guest.principal);
  }

  get broken(): boolean {
    return this.#broken;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#house.connections.add(this);
    const { position, resumed } = this.#seat;
    const replay = this.#house.hub.seating.take(this.#seat, this);
    // Before the end of this turn nothing else can be sent.
    if (this.#hello) socket.send(JSON.stringify({ position, resumed }));
    for (const message of replay) socket.send(message);
    if (this.#seat.state === "replaying") void this.#replay(socket);
  }

  message(_: Socket, message: Message): void {
    this.#heard = true;
    // A seat that has moved waits for its close.
    if (this.#muted || this.#seat.moved) return;
    if (this.#unheard !== undefined) {
      this.retire(this.#unheard);
      return;
    }
    const { hub, limits } = this.#house;
    this.#rate ??= new TokenBucket(limits.messagesPerSecond);
    if (!this.#rate.take(limits.messagesPerSecond)) {
      this.retire("too-fast");
      return;
    }
    try {
      const { target } = this.#seat;
      hub.publish(target, target.kind.encode(message, this.subject), this);
    } catch (error) {
      this.#fail(error);
    }
  }

  ping(): void {
    this.#heard = true;
  }

  pong(): void {
    this.#heard = true;
  }

  drain(): void {
    this.#closeWhenSent();
    if (this.#socket?.getBufferedAmount() === 0) this.#onDrained?.();
  }

  close(_: Socket, code: number): void {
    const { hub, connections, log } = this.#house;
    // A client may write anything into the reason of its close: it is not logged.
    const fault = this.#retiring;
    this.#socket = undefined;
    this.#retiring ??= "internal";
    hub.seating.leave(this.#seat);
    this.#onDrained?.();
    connections.remove(this);
    connections.release(this.guest.address);
    const { address } = this.guest;
    const duration_ms = Date.now() - this.#startedMs;
    log.debug("connection closed", { channel: this.#seat.channel, sub: this.subject ?? undefined, address, code, fault, duration_ms });
  }

  listen(topic: string): void {
    this.#socket?.subscribe(topic);
  }

  unlisten(topic: string): void {
    this.#socket?.unsubscribe(topic);
  }

  /** The bus has the message; its echo says so to the client. */
  confirmed(): void {}

  refused(problem: Problem): void {
    this.#broken = true;
    this.#fail(problem);
  }

  checkBacklog(): void {
    const waiting = this.#socket?.getBufferedAmount() ?? 0;
    const { limits, counts } = this.#house;
    if (waiting <= limits.slowConsumerBytes) return;
    counts.slowConsumers += 1;
    this.retire("slow-reader");
  }

  retire(fault: ClosingFaultName): void {
    if (this.#retiring !== undefined) return;
    this.#retiring = fault;
    this.#muted = true;
    this.#house.hub.seating.leave(this.#seat);
    this.#house.connections.retired(this);
    blame(this.#house, this.guest, fault, this.#seat.channel);
    this.#closeWhenSent();
  }

  reconsider(policy: Policy): void {
    const { principal } = this.guest;
    // Keys that were changed leave it where it is; with a new token it may go on.
    if (!policy.accepts(principal)) this.#unheard = "token-expired";
    else this.#unheard = policy.mayPublish(principal, this.#seat.target) ? undefined : "forbidden";
  }

  /** From now on what it sends is not heard. */
  mute(): void {
    this.#muted = true;
  }

  /** Ends the connection at once; what still waits for it is lost. */
  terminate(): void {
    this.#socket?.terminate();
  }

  /** Pings when it is time, and cuts a client that was silent for two intervals. `mayCut` is false after a stall of this process. */
  tend(nowMs: number, intervalMs: number, mayCut: boolean): void {
    if (this.#heard) {
      this.#heard = false;
      this.#quietSinceMs = nowMs;
    } else if (mayCut && nowMs - this.#quietSinceMs >= 2 * intervalMs) {
      this.terminate();
      return;
    }
    if (nowMs < this.#pingDueMs) return;
    this.#pingDueMs = nowMs + intervalMs;
    this.#socket?.ping();
  }

  /** Sends the rest of the replay, no faster than the client reads it. */
  async #replay(socket: Socket): Promise<void> {
    // What is sent in one turn is written at its end: only then is it known what the client has not read.
    await new Promise(setImmediate);
    while (this.#seat.state === "replaying") {
      if (socket.getBufferedAmount() > 0) {
        await this.#drained();
        continue;
      }
      try {
        await this.#house.hub.seating.more(this.#seat, (messages) => {
          for (const message of messages) socket.send(message);
        });
        await new Promise(setImmediate);
      } catch (error) {
        // A bus that is away will be back; the client stays.
        if (!(error instanceof Problem) || error.fault !== "bus-away") this.#fail(error);
      }
    }
  }

  /** Resolves when the client has read what it was sent, or is gone; or to look again. */
  async #drained(): Promise<void> {
    const before = this.#socket?.getBufferedAmount() ?? 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
      timer = setTimeout(resolve, DRAINED_CHECK_MS);
    });
    clearTimeout(timer);
    this.#onDrained = undefined;
    // Who reads is alive, though its answers to pings may stand behind much that it has to read first.
    if ((this.#socket?.getBufferedAmount() ?? 0) < before) this.#heard = true;
  }

  /** A close frame must come after all that was sent before: Bun gives up a backlog a few seconds after `close`. */
  #closeWhenSent(): void {
    if (this.#retiring === undefined || this.#socket === undefined || this.#socket.getBufferedAmount() > 0) return;
    const position = saysPosition(this.#retiring) ? this.#seat.position : null;
    this.#socket.close(closeCode(this.#retiring), position ?? undefined);
  }

  #fail(error: unknown): void {
    if (error instanceof Problem && isClosing(error.fault)) {
      this.retire(error.fault);
      return;
    }
    const channel = this.#seat.channel;
    this.#house.log.error("a message handler failed", { channel, address: this.guest.address, error: describeError(error) });
    this.retire("internal");
  }
}

function isClosing(fault: FaultName): fault is ClosingFaultName {
  return faults[fault].close !== undefined;
}
