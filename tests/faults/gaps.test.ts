import { expect, setDefaultTimeout, test } from "bun:test";
import { Client } from "../support/client.ts";
import { Instance, plainRooms } from "../support/instance.ts";
import { randomNumbers } from "../support/random.ts";
import { Proxy } from "../support/proxy.ts";
import { RedisServer } from "../support/redis.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

setDefaultTimeout(60_000);

const INSTANCES = 3;
const STEPS = 400;

test("whatever is cut, no client sees a gap, a double or another order without being closed first", async () => {
  const random = randomNumbers();
  const redis = await RedisServer.start();
  // What a client of Redis itself hears, on a connection that is never cut, is the order that everybody must see.
  const truth: string[] = [];
  const witness = redis.client();
  witness.on("message", (_: string, message: string) => truth.push(message));
  await witness.subscribe("rooms:a");
  const proxies = await Promise.all(Array.from({ length: INSTANCES }, () => Proxy.start(redis.port)));
  const toml = `[limits]\nmessages_per_second = 0\n${plainRooms}`;
  const instances = await Promise.all(proxies.map(({ port }) => Instance.start({ env: { REDIS_URL: `redis://127.0.0.1:${port}` }, toml })));
  const clients: Client[] = [];
  let sent = 0;
  let cuts = 0;
  for (let step = 0; step < STEPS; step += 1) {
    const index = random(INSTANCES);
    const action = random(100);
    if (action < 10) {
      const { client, answer } = await Client.ask(instances[index]?.port ?? 0, "/ws/rooms/a");
      if (answer.status === 101) clients.push(client);
    } else if (action < 14) {
      proxies[index]?.cut();
      cuts += 1;
    } else if (action < 16) clients.splice(random(clients.length), 1)[0]?.destroy();
    else {
      const open = clients.filter((client) => client.closeCode === undefined);
      for (let burst = random(20); burst >= 0; burst -= 1) open[random(open.length)]?.send(`m${(sent += 1)}`);
    }
    if (random(3) === 0) await Bun.sleep(random(8));
  }
  await waitFor("the instances to be back", async () => (await Promise.all(instances.map((instance) => instance.ready()))).every(Boolean));
  await Promise.all(instances.map((instance) => instance.publish("rooms/a", "the end")));
  await waitFor("the end", () => truth.filter((message) => message === "the end").length === INSTANCES);
  const left = (): Client[] => clients.filter((client) => client.closeCode === undefined && client.messages.at(-1) !== "the end");
  await waitFor("everybody to have the end, or a close", () => left().length === 0);

  expect(cuts).toBeGreaterThan(3);
  expect(truth.length).toBeGreaterThan(500);
  const numbered = truth.filter((message) => message !== "the end");
  expect(new Set(numbered).size).toBe(numbered.length);
  const joined = `\n${truth.join("\n")}\n`;
  for (const client of clients) {
    expect([undefined, 1013]).toContain(client.closeCode);
    // A run without holes of what Redis had.
    if (client.messages.length > 0) expect(joined.includes(`\n${client.messages.join("\n")}\n`)).toBe(true);
  }
  for (const client of clients) client.destroy();
  await Promise.all(instances.map((instance) => instance.stop()));
  for (const proxy of proxies) proxy.stop();
  await redis.stop();
});

test("nobody is let in before Redis has said that what is published from then on will come", async () => {
  const redis = await RedisServer.start();
  const proxy = await Proxy.start(redis.port);
  const instance = await Instance.start({ env: { REDIS_URL: `redis://127.0.0.1:${proxy.port}` }, toml: plainRooms });
  proxy.hold();
  let joined = false;
  const asked = Client.ask(instance.port, "/ws/rooms/new").finally(() => (joined = true));
  await whileNothingHappens(300);
  expect(joined).toBe(false);
  proxy.release();
  const { client, answer } = await asked;
  expect(answer.status).toBe(101);
  await redis.client().publish("rooms:new", "the first");
  expect(await client.receive(1)).toEqual(["the first"]);
  client.destroy();
  await instance.stop();
  proxy.stop();
  await redis.stop();
});
