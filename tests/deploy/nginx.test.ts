import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { Client } from "../support/client.ts";
import { Deployment } from "../support/deployment.ts";
import { EventClient } from "../support/event-client.ts";
import { findProgram } from "../support/programs.ts";
import { Raw } from "../support/raw.ts";
import { API_KEY, bearer, EVERYTHING, HOUR_AHEAD, SECRET, signed } from "../support/tokens.ts";
import { waitFor } from "../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);
// Without it no test here has a meaning.
findProgram("nginx");

const MAX_BYTES = 65_536;

function publish(url: string, path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  return fetch(`${url}/publish/${path}`, { method: "POST", body, headers });
}

describe("deploy/nginx.conf, before two instances with keys", () => {
  let deployment: Deployment;
  let token: string;
  let url: string;
  let port: number;
  beforeAll(async () => {
    deployment = await Deployment.start({
      env: { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY },
      more: "max_connections_per_ip = 3\n",
    });
    for (const server of deployment.servers) server.keep();
    ({ url, port } = deployment.nginx);
    token = await signed({ sub: "alice", exp: HOUR_AHEAD, lockstep: EVERYTHING }, SECRET, { alg: "HS256" });
  });
  afterAll(() => Deployment.endAll());

  test("lets WebSockets through: tokens, subprotocol and position, texts and bytes of the largest size", async () => {
    const offer = { "Sec-WebSocket-Protocol": `lockstep, lockstep.token.${token}` };
    const one = await Client.ask(port, "/ws/rooms/a?recent=1", { headers: offer });
    expect(one.answer.status).toBe(101);
    expect(one.client.headers.get("sec-websocket-protocol")).toBe("lockstep");
    expect(one.client.headers.get("lockstep-position")).toMatch(/^[^-]+-0$/);
    const two = await Client.join(port, "/ws/rooms/a", { headers: bearer(token) });
    const three = await Client.join(port, `/ws/rooms/a?token=${token}`);
    const text = "四".repeat(Math.floor(MAX_BYTES / 3));
    const bytes = Buffer.alloc(MAX_BYTES, 0xff);
    for (const message of [text, bytes, ""]) one.client.send(message);
    for (const client of [one.client, two, three]) expect(await client.receive(3)).toEqual([text, bytes, ""]);
    one.client.send(Buffer.alloc(MAX_BYTES + 1));
    // What closes is what Lockstep says, not the proxy.
    expect(await one.client.receiveClose()).toBe(1009);
    for (const client of [two, three]) client.destroy();
    // Of both instances: each message has crossed Redis.
    const upstreams = new Set<unknown>();
    await waitFor("both to have had clients", () => {
      for (const { path, upstream } of deployment.nginx.accesses) if (path === "/ws/rooms/a") upstreams.add(upstream);
      return upstreams.size === 2;
    });
  });

  test("refuses what is no handshake in Lockstep's words", async () => {
    const { answer } = await Client.ask(port, "/ws/rooms/a", { headers: { Upgrade: "", Connection: "", ...bearer(token) } });
    expect(answer.status).toBe(426);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect((await Client.ask(port, "/ws/rooms/a")).answer.status).toBe(401);
    expect((await Client.ask(port, "/ws/no/such", { headers: bearer(token) })).answer.status).toBe(404);
  });

  test("passes each event of a stream on at once, and its Last-Event-ID", async () => {
    const stream = await EventClient.open(`${url}/sse/rooms/stream`, bearer(token));
    expect(stream.response.headers.get("content-type")).toBe("text/event-stream");
    await waitFor("the stream to open", () => stream.head.includes("retry: 1000\n"));
    for (let index = 0; index < 20; index += 1) {
      await publish(url, "rooms/stream", `event ${index}`, bearer(API_KEY));
      await stream.receive(index + 1);
    }
    expect(stream.ended).toBe(false);
    stream.close();
    const id = stream.events[9]?.id ?? "";
    const again = await EventClient.open(`${url}/sse/rooms/stream`, { ...bearer(token), "last-event-id": id });
    expect((await again.receive(10)).map(({ data }) => data)).toEqual(Array.from({ length: 10 }, (_, index) => `event ${index + 10}`));
    again.close();
  });

  test("gathers nothing for a client of a stream that does not read: Lockstep sees that, and ends it", async () => {
    const asleep = connect(port, "127.0.0.1");
    asleep.pause();
    asleep.write(`GET /sse/rooms/much HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\n\r\n`);
    const presence = async (): Promise<string> => (await fetch(`${url}/presence/rooms/much`, { headers: bearer(token) })).text();
    await waitFor("it to be there", async () => (await presence()).includes('"count":1'));
    const sender = await Client.join(port, "/ws/rooms/much", { headers: bearer(token) });
    for (let index = 1; index <= 400; index += 1) {
      sender.send(Buffer.alloc(MAX_BYTES));
      if (index % 20 === 0) await sender.receive(index);
    }
    await waitFor("it to be seen", () =>
      deployment.servers.some((server) => server.lines("refused").some(({ reason }) => reason === "slow-reader")),
    );
    sender.destroy();
    asleep.destroy();
  });

  test("lets publish what max_message_bytes allows, and not a byte more", async () => {
    const fits = await publish(url, "rooms/b", Buffer.alloc(MAX_BYTES, "x"), bearer(API_KEY));
    expect([fits.status, await fits.json()]).toEqual([200, { channel: "rooms:b", id: expect.stringMatching(/-1$/) }]);
    const over = await publish(url, "rooms/b", Buffer.alloc(MAX_BYTES + 1, "x"), bearer(API_KEY));
    expect([over.status, over.headers.get("content-type")]).toEqual([413, "application/problem+json"]);
    expect(await over.json()).toMatchObject({ type: "urn:lockstep:problem:too-large", status: 413 });
    expect((await publish(url, "rooms/b", "without a key")).status).toBe(401);
    const disconnected = await fetch(`${url}/disconnect`, { method: "POST", body: '{"sub":"alice"}', headers: bearer(API_KEY) });
    expect(disconnected.status).toBe(200);
  });

  test("keeps the metrics to itself, however the path is written", async () => {
    for (const target of [
      "/metrics",
      "/metrics/",
      "/metrics?x",
      "//metrics",
      "/%6detrics",
      "/x/../metrics",
      "/x/%2e%2e/metrics",
      `http://127.0.0.1:${port}/metrics`,
    ]) {
      const raw = new Raw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\nConnection: close\r\n\r\n`);
      await waitFor("an answer", () => raw.ended);
      expect([target, raw.heard.slice(0, 12)]).toEqual([target, "HTTP/1.1 404"]);
      expect(raw.heard).not.toContain("lockstep_");
    }
    for (const target of ["/ws/..\\metrics", "/..\\metrics", "/x\\..\\metrics?x"]) {
      const raw = new Raw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\nConnection: close\r\n\r\n`);
      await waitFor("an answer", () => raw.ended);
      expect([target, raw.heard.slice(0, 12)]).toEqual([target, "HTTP/1.1 400"]);
    }
    for (const server of deployment.servers) expect((await fetch(`${server.url}/metrics`, { headers: bearer(API_KEY) })).status).toBe(200);
  });

  // Other systems have only one loopback address unless somebody gives them more.
  test.skipIf(process.platform !== "linux")("tells the instances whose request it is, whatever that client says itself", async () => {
    const ask = (from: string, forwarded: string) =>
      Client.ask(port, "/ws/rooms/c", { from, headers: { ...bearer(token), "X-Forwarded-For": forwarded } });
    const clients: Client[] = [];
    for (let status = 101; status === 101;) {
      const { client, answer } = await ask("127.0.0.2", `9.9.9.${clients.length}`);
      clients.push(client);
      ({ status } = answer);
      expect(status).toBeOneOf([101, 429]);
    }
    // Three at each instance, and one that came too late.
    expect(clients.length).toBeWithin(4, 8);
    // Another address, though it says that it is the one that is full.
    const other = await ask("127.0.0.3", "127.0.0.2");
    expect(other.answer.status).toBe(101);
    for (const client of [...clients, other.client]) client.destroy();
    const refused = deployment.servers.flatMap((server) => server.lines("refused")).filter((line) => line["where"] === "GET /ws/rooms/c");
    expect(refused.map(({ address, reason }) => [address, reason])).toEqual([["127.0.0.2", "too-many-connections-of-address"]]);
  });

  test("writes no tokens and no queries, also of requests that nobody answers", async () => {
    const others = await Deployment.start();
    for (const server of others.servers) await server.end("SIGKILL");
    for (const nginx of [deployment.nginx, others.nginx]) {
      for (const path of ["ws", "sse", "history", "publish"]) {
        const response = await fetch(`${nginx.url}/${path}/rooms/a?token=${token}&x=a-query`, { headers: bearer(token) });
        await response.body?.cancel();
      }
      const logged = (): boolean => nginx.accesses.filter(({ path }) => String(path).endsWith("/rooms/a")).length >= 4;
      await waitFor("all to be logged", logged);
      expect(nginx.written).not.toContain(token);
      expect(nginx.written).not.toContain("a-query");
      expect(nginx.written).not.toContain("?");
    }
  });
});
