import { expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { buses } from "../../bus/buses.ts";
import { Instance } from "../../support/instance.ts";
import { waitFor } from "../../support/wait.ts";

setDefaultTimeout(40_000);

/** Longer than Bun's time-out for a connection on which nothing moves. */
const PAUSE_MS = 14_000;

for (const { name, start } of buses) {
  test(`a long history over the ${name} bus waits for a reader that pauses, and its connection ends with it`, async () => {
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
