import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buses } from "../../bus/buses.ts";
import { EventClient } from "../../support/event-client.ts";
import { Instance } from "../../support/instance.ts";
import { Proxy } from "../../support/proxy.ts";
import { RedisServer } from "../../support/redis.ts";
import { API_KEY, bearer, EVERYTHING, SECRET, tokenOf } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

const KEYS = { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY };

const tokenFor = async (sub: string): Promise<Record<string, string>> => bearer(await tokenOf({ sub, ...EVERYTHING }));

function order(instance: Instance, body: string, headers = bearer(API_KEY)): Promise<Response> {
  return fetch(`${instance.url}/disconnect`, { method: "POST", body, headers });
}

for (const bus of buses) {
  describe(`POST /disconnect over the ${bus.name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let one: Instance;
    let two: Instance;
    beforeAll(async () => {
      running = await bus.start();
      const setup = { env: { REDIS_URL: running.url, ...KEYS } };
      one = await Instance.start(setup);
      two = bus.name === "memory" ? one : await Instance.start(setup);
    });
    afterAll(async () => {
      await one.stop();
      if (two !== one) await two.stop();
      await running.stop();
    });

    test("closes all connections of a subject with 3003, on every instance, and nobody else's", async () => {
      const [ann, bob] = [await tokenFor("ann"), await tokenFor("ann2")];
      const anns = await Promise.all([
        one.join("rooms/a", { headers: ann }),
        two.join("rooms/b", { headers: ann }),
        two.join("ws_example_channel", { headers: ann }),
      ]);
      const stream = await EventClient.open(`${two.url}/sse/rooms/a`, ann);
      const others = [
        await one.join("rooms/a", { headers: bob }),
        await two.join("rooms/a", { headers: bearer(API_KEY) }),
        await two.join("rooms/a", { headers: bearer(await tokenOf(EVERYTHING)) }),
      ];
      const answer = await order(one, '{"sub":"ann"}');
      expect([answer.status, await answer.json()]).toEqual([200, { sub: "ann" }]);
      expect(await Promise.all(anns.map((client) => client.receiveClose()))).toEqual([3003, 3003, 3003]);
      await waitFor("the stream to end", () => stream.ended);
      await one.publish("rooms/a", "still here", bearer(API_KEY));
      for (const client of others) expect(await client.receive(1)).toEqual(["still here"]);
      // Its token is valid as before.
      const again = await two.join("rooms/b", { headers: ann });
      again.send("back");
      expect(await again.receive(1)).toEqual(["back"]);
    });

    test.each(['测试 "x"\n', "__proto__", "a".repeat(2000), "null"])("knows the subject %p as it is", async (sub) => {
      const client = await two.join("rooms/a", { headers: await tokenFor(sub) });
      expect((await order(one, JSON.stringify({ sub }))).status).toBe(200);
      expect(await client.receiveClose()).toBe(3003);
    });

    test("takes the API key, and a body that says whom", async () => {
      const status = async (body: string, headers?: Record<string, string>): Promise<number> => (await order(one, body, headers)).status;
      expect(await status('{"sub":"ann"}', {})).toBe(401);
      expect(await status('{"sub":"ann"}', bearer("bad"))).toBe(401);
      expect(await status('{"sub":"ann"}', await tokenFor("ann"))).toBe(403);
      for (const body of ["", "{}", "[]", "null", '{"sub":7}', '{"sub":null}', '{"sub":""}', '{"sub":["ann"]}', "ann", "{"]) {
        expect([body, await status(body)]).toEqual([body, 400]);
      }
      expect(await status(JSON.stringify({ sub: "x".repeat(20_000) }))).toBe(413);
      expect((await fetch(`${one.url}/disconnect`, { headers: bearer(API_KEY) })).status).toBe(405);
    });

    test("is no channel that anybody could come to, nor one that the metrics count", async () => {
      for (const path of ["lockstep:%01disconnections", "disconnections", "%01", "rooms/%01"]) {
        expect((await one.publish(path, "ann", bearer(API_KEY))).status).not.toBe(200);
      }
      const text = await (await fetch(`${one.url}/metrics`, { headers: bearer(API_KEY) })).text();
      expect(text).toMatch(/^lockstep_channels \d$/m);
      const idle = await Instance.start({ env: { REDIS_URL: running.url, ...KEYS } });
      expect(await (await fetch(`${idle.url}/metrics`, { headers: bearer(API_KEY) })).text()).toMatch(/^lockstep_channels 0$/m);
      await idle.stop();
    });
  });
}

test("an instance that was cut off from Redis hears afterwards who was to leave, once", async () => {
  const redis = await RedisServer.start();
  const proxy = await Proxy.start(redis.port);
  const far = await Instance.start({ env: { REDIS_URL: `redis://127.0.0.1:${proxy.port}`, ...KEYS } });
  const near = await Instance.start({ env: { REDIS_URL: redis.url, ...KEYS } });
  const early = await tokenFor("early");
  await order(near, '{"sub":"early"}');
  const [ann, bob, stays] = await Promise.all(
    ["ann", "bob", "early"].map(async (sub) => far.join("rooms/a", { headers: sub === "early" ? early : await tokenFor(sub) })),
  );
  proxy.hold();
  expect((await order(near, '{"sub":"ann"}')).status).toBe(200);
  await waitFor("the loss to be noticed", async () => !(await far.ready()));
  expect((await order(near, '{"sub":"bob"}')).status).toBe(200);
  proxy.release();
  expect([await ann?.receiveClose(), await bob?.receiveClose()]).toEqual([3003, 3003]);
  await near.publish("rooms/a", "on", bearer(API_KEY));
  expect(await stays?.receive(1)).toEqual(["on"]);
  await far.stop();
  await near.stop();
  proxy.stop();
  await redis.stop();
});

test("while Redis is away it is 503", async () => {
  const redis = await RedisServer.start();
  const instance = await Instance.start({ env: { REDIS_URL: redis.url, ...KEYS }, toml: '[limits]\npublish_timeout = "500ms"' });
  await redis.kill();
  const answer = await order(instance, '{"sub":"ann"}');
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
  await instance.stop();
  await redis.stop();
});
