import { expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { buses } from "../../bus/buses.ts";
import { EventClient } from "../../support/event-client.ts";
import { Instance, plainRooms } from "../../support/instance.ts";
import { freePort } from "../../support/redis.ts";
import { waitFor } from "../../support/wait.ts";

// All of them take a quarter of a minute of waiting, so they wait together.
setDefaultTimeout(60_000);

/** Longer than Bun's time-out for a connection on which nothing moves. */
const PAUSE_MS = 14_000;

for (const { name, start } of buses) {
  test.concurrent(`a long history over the ${name} bus waits for a reader that pauses, and its connection ends with it`, async () => {
    const running = await start();
    const toml = '[[channels]]\npath = "long/{room}"\nhistory = { size = 400, ttl = "1m" }';
    const instance = await Instance.start({ env: { REDIS_URL: running.url }, toml });
    for (let index = 0; index < 400; index += 1) await instance.publish("long/a", "x".repeat(60_000));
    const reader = connect(instance.port, "127.0.0.1");
    let received = "";
    let ended = false;
    reader.on("data", (part: Buffer) => (received += part.toString("latin1").replaceAll("x", "")));
    reader.on("close", () => (ended = true));
    reader.write("GET /history/long/a?limit=400 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await waitFor("the beginning", () => received.includes("messages"));
    reader.pause();
    await Bun.sleep(PAUSE_MS);
    reader.resume();
    await waitFor("the end", () => ended);
    expect(received.endsWith("]}\r\n0\r\n\r\n")).toBe(true);
    expect(received.match(/"id"/g)?.length).toBe(400);
    const head = await fetch(`${instance.url}/history/long/a?limit=400`, { method: "HEAD" });
    const whole = await (await fetch(`${instance.url}/history/long/a?limit=400`)).arrayBuffer();
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(whole.byteLength)]);
    await instance.stop();
    await running.stop();
  });
}

test.concurrent("streams are kept alive by a comment every 15 s, over each bus", async () => {
  const kept = buses.map(async ({ start }) => {
    const running = await start();
    const instance = await Instance.start({ toml: plainRooms, env: { REDIS_URL: running.url } });
    const client = await EventClient.open(`${instance.url}/sse/rooms/quiet`);
    await waitFor("a comment", () => client.head.includes("\n:\n\n"), 17_000);
    client.close();
    await instance.stop();
    await running.stop();
  });
  await Promise.all(kept);
});

test.concurrent("who publishes may wait for the bus for longer than a silent client", async () => {
  const instance = await Instance.start({
    env: { REDIS_URL: `redis://127.0.0.1:${await freePort()}` },
    toml: '[limits]\npublish_timeout = "14s"',
  });
  const since = Date.now();
  const answer = await instance.publish("rooms/a", "x");
  expect(answer.status).toBe(503);
  expect(Date.now() - since).toBeGreaterThan(13_500);
  await instance.stop();
});
