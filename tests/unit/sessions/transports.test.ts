import { expect, test } from "bun:test";
import { EventStreamTransport, StreamTopics } from "../../../src/sessions/transports/event-stream.ts";
import type { TransportOwner } from "../../../src/sessions/transports/transport.ts";

const owner: TransportOwner = { receive: () => undefined, closeFrame: () => ({ code: 1013 }), disconnected: () => undefined };

test("an event stream lets every replay on it go on once the client has read", async () => {
  const stream = new EventStreamTransport(owner, new StreamTopics(), ":\n\n");
  stream.send("a part of both replays");
  const both = Promise.all([stream.drained(), stream.drained()]);
  await stream.pull();
  void stream.pull();
  await both;
  stream.end();
  await stream.drained();
});

test("an event stream that finishes sends what it has, and nothing after that", async () => {
  const stream = new EventStreamTransport(owner, new StreamTopics(), ":\n\n");
  stream.send("before");
  stream.finish();
  stream.send("after");
  expect(String(await stream.pull())).toBe("before");
  expect(await stream.pull()).toBeUndefined();
});
