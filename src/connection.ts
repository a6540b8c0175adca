import type { ServerWebSocket } from "bun";
import type { Sender } from "./bus/bus.ts";
import type { Kind, OnGap } from "./channels/kind.ts";
import type { Connections } from "./connections.ts";
import { closeCode, faults, Problem, type ClosingFaultName, type FaultName } from "./errors.ts";
import type { Hub, Seat, Subscriber } from "./hub.ts";
import { describeError, type Log } from "./log.ts";
import type { Message } from "./message.ts";
import { TokenBucket } from "./token-bucket.ts";

type Socket = ServerWebSocket<Connection>;

/** What all connections of an instance share. */
export interface ConnectionHouse {
  readonly hub: Hub;
  readonly connections: Connections;
  /** 0: no limit. */
  readonly messagesPerSecond: number;
  readonly slowConsumerBytes: number;
  readonly log: Log;
}

/**
 * One WebSocket client on one channel. `open`, `message`, `drain`, `pong`, `ping` and `close` are called by the server with the
 * raw socket (see http/ws.ts). They are synchronous, so a client's frames keep their order, and they never throw: Bun would end the process.
 */
export class Connection implements Sender, Subscriber {
  readonly #house: ConnectionHouse;
  readonly #kind: Kind;
  readonly #seat: Seat;
  readonly #address: string;
  readonly #rate: TokenBucket | undefined;
  #socket: Socket | undefined;
  #retiring: ClosingFaultName | undefined;
  #muted = false;
  #broken = false;
  /** Whether anything was heard since the last look, and since when nothing was. */
  #heard = false;
  #quietSinceMs = Date.now();
  #pingDueMs: number;

  /** @param address admitted by `connections`; its place is freed when the connection ends */
  constructor(house: ConnectionHouse, kind: Kind, seat: Seat, address: string) {
    this.#house = house;
    this.#kind = kind;
    this.#seat = seat;
    this.#address = address;
    this.#rate = house.messagesPerSecond === 0 ? undefined : new TokenBucket(house.messagesPerSecond);
    this.#pingDueMs = this.#quietSinceMs + house.connections.pingIntervalMs;
  }

  get onGap(): OnGap {
    return this.#kind.onGap;
  }

  get broken(): boolean {
    return this.#broken;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#house.connections.add(this);
    this.#house.hub.take(this.#seat, this);
  }

  message(_: Socket, message: Message): void {
    this.#heard = true;
    if (this.#muted) return;
    if (this.#rate?.take() === false) {
      this.retire("too-fast");
      return;
    }
    try {
      this.#house.hub.publish(this.#seat.channel, this.#kind.encode(message, null), this);
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
  }

  close(_: Socket, code: number, reason: string): void {
    const { hub, connections, log } = this.#house;
    this.#socket = undefined;
    this.#retiring ??= "internal";
    hub.leave(this.#seat, this);
    connections.remove(this);
    connections.release(this.#address);
    log.debug("connection closed", { channel: this.#seat.channel, address: this.#address, code, reason });
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
    if ((this.#socket?.getBufferedAmount() ?? 0) > this.#house.slowConsumerBytes) this.retire("slow-reader");
  }

  retire(fault: ClosingFaultName): void {
    if (this.#retiring !== undefined) return;
    this.#retiring = fault;
    this.#muted = true;
    this.#house.hub.leave(this.#seat, this);
    this.#house.connections.retired(this);
    this.#closeWhenSent();
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

  /** A close frame must come after all that was sent before: Bun gives up a backlog a few seconds after `close`. */
  #closeWhenSent(): void {
    if (this.#retiring === undefined || this.#socket === undefined || this.#socket.getBufferedAmount() > 0) return;
    this.#socket.close(closeCode(this.#retiring));
  }

  #fail(error: unknown): void {
    if (error instanceof Problem && isClosing(error.fault)) {
      this.retire(error.fault);
      return;
    }
    const channel = this.#seat.channel;
    this.#house.log.error("a message handler failed", { channel, address: this.#address, error: describeError(error) });
    this.retire("internal");
  }
}

function isClosing(fault: FaultName): fault is ClosingFaultName {
  return faults[fault].close !== undefined;
}
