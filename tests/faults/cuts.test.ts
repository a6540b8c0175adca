import { afterEach, expect, test } from "bun:test";
import { Instance } from "../support/instance.ts";
import { Proxy } from "../support/proxy.ts";
import { randomNumbers } from "../support/random.ts";
import { RedisServer } from "../support/redis.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import { waitFor } from "../support/wait.ts";

const TIMEOUT_MS = 240_000;

const toml = `
[limits]
messages_per_second = 0
publish_timeout = "20s"
[[channels]]
path = "rooms/{room}"
history = { size = 10000, ttl = "10m" }
`;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function startInstance(url: string): Promise<Instance> {
  const instance = await Instance.start({ env: { REDIS_URL: url }, toml });
  ends.push(() => instance.stop());
  return instance;
}

async function startClient(ports: () => number, path: string): Promise<ResumingClient> {
  const client = await new ResumingClient(ports, path).start();
  ends.push(() => client.stop());
  return client;
}

const backInTime = (instances: readonly Instance[]): Promise<void> =>
  waitFor("the instances to be ready", async () => (await Promise.all(instances.map((one) => one.ready()))).every(Boolean));

test(
  "20,000 messages, 200 cuts, a kill of Redis and a hang: nothing lost, doubled or out of order, here and on the other instance",
  async () => {
    const random = randomNumbers();
    const redis = await RedisServer.start("always");
    ends.push(() => redis.stop());
    const proxy = await Proxy.start(redis.port);
    ends.push(() => proxy.stop());
    const [near, far] = [await startInstance(redis.url), await startInstance(`redis://127.0.0.1:${proxy.port}`)];
    const clients = await Promise.all(
      Array.from({ length: 8 }, (_, index) => startClient(() => (index % 2 === 0 ? near : far).port, "rooms/a")),
    );
    const total = 20_000;
    let answered = 0;
    let confirmed = 0;
    const owns = Array.from({ length: 10 }, (_, own) => own);
    const publishers = owns.map(async (own) => {
      for (let index = 0; index < total / owns.length; index += 1) {
        const response = await [near, far][own % 2]?.publish("rooms/a", `${own}.${index}`);
        await response?.text();
        answered += 1;
        if (response?.status === 200) confirmed += 1;
      }
    });
    const trouble = (async () => {
      for (let cuts = 0; cuts < 200; cuts += 1) {
        const due = ((cuts + 1) * total * 0.9) / 200;
        await waitFor("some more messages", () => answered >= due, 30_000);
        if (random(4) === 0) clients[random(clients.length)]?.cut();
        if (cuts === 60) {
          await redis.kill();
          await redis.start();
          await backInTime([near]);
        } else if (cuts === 120) {
          redis.pause();
          await Bun.sleep(3500);
          redis.resume();
          await backInTime([near]);
        } else if (cuts % 40 === 20) {
          proxy.hold();
          await Bun.sleep(300);
          proxy.release();
          proxy.cut();
        } else proxy.cut();
      }
    })();
    await Promise.all([...publishers, trouble]);
    expect(confirmed).toBe(total);
    await backInTime([near, far]);
    await waitFor("everybody to have everything", () => clients.every(({ messages }) => messages.length >= total), 30_000);
    for (const client of clients) {
      expect(client.messages.length).toBe(total);
      expect(client.runs.every(({ resumed, epoch }) => resumed !== false && epoch === clients[0]?.runs[0]?.epoch)).toBe(true);
      expect(client.messages).toEqual(clients[0]?.messages ?? []);
    }
    for (const own of owns) {
      const mine = clients[0]?.messages.filter((message) => message.startsWith(`${own}.`)).map((message) => Number(message.split(".")[1]));
      expect(mine).toEqual(Array.from({ length: total / owns.length }, (_, index) => index));
    }
    expect(await far.metric("lockstep_bus_reconnections_total")).toBeGreaterThan(50);
    expect(await far.metric("lockstep_catch_ups_total")).toBeGreaterThan(20);
    expect([await near.metric("lockstep_gaps_total"), await far.metric("lockstep_gaps_total")]).toEqual([0, 0]);
  },
  TIMEOUT_MS,
);
