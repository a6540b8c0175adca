import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";
import { formatMessage } from "./event-format.ts";
import type { EventStream } from "./event-stream.ts";

/** For event streams what the server's topics are for sockets; a message is put into words once for all of a topic. */
export class EventTopics {
  readonly #topics = new Map<string, Set<EventStream>>();

  listen(topic: string, stream: EventStream): void {
    const streams = this.#topics.get(topic);
    if (streams === undefined) this.#topics.set(topic, new Set([stream]));
    else streams.add(stream);
  }

  unlisten(topic: string, stream: EventStream): void {
    const streams = this.#topics.get(topic);
    streams?.delete(stream);
    if (streams?.size === 0) this.#topics.delete(topic);
  }

  /** @param epoch empty on a channel without history */
  broadcast(topic: string, message: Message, epoch: string, offset: number): void {
    if (this.#topics.size === 0) return;
    const streams = this.#topics.get(topic);
    if (streams === undefined) return;
    const event = Buffer.from(formatMessage(message, epoch === "" ? null : formatPosition(epoch, offset)));
    for (const stream of streams) stream.push(event);
  }
}
