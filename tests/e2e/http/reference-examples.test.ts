import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buses } from "../../bus/buses.ts";
import { examplesOf, exampleOf, send, type Wish } from "../../support/documented-request.ts";
import { EventClient } from "../../support/event-client.ts";
import { Instance } from "../../support/instance.ts";
import { Reference, type Operation } from "../../support/reference.ts";
import { API_KEY, bearer, EVERYTHING, SECRET, tokenOf } from "../../support/tokens.ts";

const KEYS = { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY };
/** Statuses of an answer when all is well. */
const GOOD = /^(101|200|304)$/;

const isOpen = ({ security }: Operation): boolean => security.some((way) => Object.keys(way).length === 0);

/** How a credential is brought, by the name of its scheme. */
async function credentials(): Promise<Record<string, Wish>> {
  const token = await tokenOf({ sub: "alice", ...EVERYTHING });
  return {
    token: { headers: bearer(token) },
    tokenInQuery: { query: `token=${token}` },
    tokenInSubprotocol: { headers: { "Sec-WebSocket-Protocol": `lockstep, lockstep.token.${token}` } },
    apiKey: { headers: bearer(API_KEY) },
  };
}

for (const bus of buses) {
  describe(`the examples of the reference, over the ${bus.name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    let open: Instance;
    let keyed: Instance;
    let reference: Reference;
    beforeAll(async () => {
      running = await bus.start();
      open = await Instance.start({ env: { REDIS_URL: running.url } });
      keyed = await Instance.start({ env: { REDIS_URL: running.url, ...KEYS } });
      reference = await Reference.of(open.url);
      // So that there is a history to be seen.
      await open.publish("rooms/lobby", "hello");
      await open.publish("rooms/lobby", Uint8Array.of(0, 255), { "content-type": "application/octet-stream" });
      await keyed.join("rooms/lobby", { headers: bearer(await tokenOf({ sub: "alice", ...EVERYTHING })) });
    });
    afterAll(async () => {
      await open.stop();
      await keyed.stop();
      await running.stop();
    });

    test("are requests that succeed, each answered as the reference says", async () => {
      let asked = 0;
      for (const operation of reference.operations) {
        const server = isOpen(operation) ? open : keyed;
        const credential = isOpen(operation) ? {} : bearer(API_KEY);
        for (const wish of examplesOf(operation)) {
          const answer = await send(server.url, operation, { ...wish, headers: { ...wish.headers, ...credential } });
          const what = `${operation.operationId} ${JSON.stringify(wish)}`;
          expect([what, String(answer.status), reference.differences(operation, answer)]).toEqual([what, expect.stringMatching(GOOD), []]);
          asked += 1;
        }
      }
      expect(asked).toBeGreaterThan(20);
    });

    test("succeed with each of the credentials that are documented, where keys are set", async () => {
      const ways = await credentials();
      for (const operation of reference.operations) {
        for (const scheme of operation.security.flatMap((way) => Object.keys(way))) {
          const answer = await send(keyed.url, operation, { ...exampleOf(operation), ...ways[scheme] });
          const what = `${operation.operationId} with ${scheme}`;
          expect([what, String(answer.status), reference.differences(operation, answer)]).toEqual([what, expect.stringMatching(GOOD), []]);
        }
      }
    });

    test("are 401 without a credential where keys are set, but for what documents none", async () => {
      for (const operation of reference.operations) {
        const answer = await send(keyed.url, operation, exampleOf(operation));
        const free = operation.security.every((way) => Object.keys(way).length === 0);
        expect([operation.operationId, answer.status]).toEqual([operation.operationId, free ? 200 : 401]);
        expect(reference.differences(operation, answer)).toEqual([]);
      }
    });

    test("of an event stream and of the first frame are as those come", async () => {
      const text = String(reference.get("joinAsEventStream").responses["200"]?.content?.["text/event-stream"]?.example);
      const [, epoch = "", offset = 0] = /^id: (.*)-(\d+)$/m.exec(text) ?? [];
      const before = await open.publishId("rooms/events", "before");
      const stream = await EventClient.open(`${open.url}/sse/rooms/events`);
      await open.publish("rooms/events", "hello");
      await open.publish("rooms/events", Uint8Array.of(0, 255), { "content-type": "application/octet-stream" });
      await stream.receive(2);
      stream.close();
      const [ownEpoch = "", ownOffset] = before.split("-");
      const shifted = text.replaceAll(
        new RegExp(`${epoch}-(\\d+)`, "g"),
        (_, at) => `${ownEpoch}-${Number(at) - Number(offset) + Number(ownOffset)}`,
      );
      expect(stream.head).toBe(shifted);
      const hello = /`(\{"position".*?\})`/.exec(reference.get("joinByWebSocket").description ?? "")?.[1];
      const client = await open.join(`rooms/events?hello=1&since=${before}`);
      expect((await client.receive(1))[0]).toBe(hello?.replace(/"position":"[^"]*"/, `"position":"${before}"`));
    });
  });
}

test("every example of an answer is what its own schema says", async () => {
  const instance = await Instance.start();
  const reference = await Reference.of(instance.url);
  await instance.stop();
  let seen = 0;
  for (const { operationId, responses } of reference.operations) {
    for (const [status, { content = {} }] of Object.entries(responses)) {
      for (const { schema, example, examples = {} } of Object.values(content)) {
        const values = [...(example === undefined ? [] : [example]), ...Object.values(examples).map(({ value }) => value)];
        seen += values.length;
        for (const value of values) {
          expect([operationId, status, value, reference.schemaDifferences(schema, value)]).toEqual([operationId, status, value, []]);
        }
      }
    }
  }
  expect(seen).toBeGreaterThan(50);
});
