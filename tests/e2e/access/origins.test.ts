import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { networkFault, Networks, plainAddress } from "../../../src/config/networks.ts";
import { Client } from "../../support/client.ts";
import { Instance } from "../../support/instance.ts";
import { API_KEY, bearer } from "../../support/tokens.ts";

const GOOD = "https://good.example";

describe("with a list of origins", () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await Instance.start({ env: { LOCKSTEP_ORIGINS: `${GOOD}, http://localhost:8080,capacitor://localhost` } });
  });
  afterAll(() => instance.stop());

  const statusOf = async (origin: string, headers: Record<string, string> = {}): Promise<number[]> => {
    const { client, answer } = await Client.ask(instance.port, "/ws/rooms/a", { headers: { Origin: origin, ...headers } });
    client.destroy();
    const gets = ["/sse/rooms/a", "/history/rooms/a", "/presence/rooms/a", "/livez", "/readyz", "/metrics"].map(async (path) => {
      const response = await fetch(`${instance.url}${path}`, { headers: { origin, ...headers } });
      await response.body?.cancel();
      return response.status;
    });
    const published = await instance.publish("rooms/b", "x", { origin, ...headers });
    return [answer.status, ...(await Promise.all(gets)), published.status];
  };

  test.each([GOOD, "http://localhost:8080", "capacitor://localhost"])("pages of %s may come", async (origin) => {
    expect(await statusOf(origin)).toEqual([101, 200, 200, 200, 200, 200, 200, 200]);
  });

  test.each([
    "https://good.example.evil.example",
    "https://evilgood.example",
    "https://sub.good.example",
    "http://good.example",
    "https://good.example:444",
    "https://good.example:443",
    "https://good.example/",
    "https://GOOD.example",
    "https://good.example, https://evil.example",
    "https://good.example@evil.example",
    "good.example",
    "null",
    "localhost:8080",
    "http://localhost",
    "http://localhost:80800",
    "capacitor://localhost.evil",
    "file://",
  ])("pages of %s may not, on any route", async (origin) => {
    expect(await statusOf(origin)).toEqual([403, 403, 403, 403, 403, 403, 403, 403]);
  });

  test("who is no browser may come, and the server's own pages", async () => {
    expect((await statusOf(instance.url))[0]).toBe(101);
    expect((await statusOf("https://chat.example", { Host: "chat.example" }))[0]).toBe(101);
    expect((await statusOf("https://chat.example", { Host: "CHAT.example:443" }))[0]).toBe(101);
    expect((await statusOf("https://chat.example:444", { Host: "chat.example" }))[0]).toBe(403);
    expect((await statusOf("null", { Host: "null" }))[0]).toBe(403);
    expect((await statusOf("https://chat.example", { Host: "good.example", "X-Forwarded-Host": "chat.example" }))[0]).toBe(403);
  });

  test("tells browsers what their pages may read, also of faults", async () => {
    const cors = async (path: string, origin?: string): Promise<(string | null)[]> => {
      const { headers } = await fetch(`${instance.url}${path}`, { headers: origin === undefined ? {} : { origin } });
      return [headers.get("access-control-allow-origin"), headers.get("vary")];
    };
    expect(await cors("/history/rooms/a", GOOD)).toEqual([GOOD, "Origin"]);
    expect(await cors("/history/rooms/a?limit=0", GOOD)).toEqual([GOOD, "Origin"]);
    expect(await cors("/history/rooms/a", "https://evil.example")).toEqual([null, "Origin"]);
    expect(await cors("/history/rooms/a")).toEqual([null, "Origin"]);
    expect(await cors("/nowhere", GOOD)).toEqual([GOOD, "Origin"]);
  });

  test("answers a preflight of those, and refuses that of others", async () => {
    const ask = (path: string, origin: string) =>
      fetch(`${instance.url}${path}`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
      });
    const yes = await ask("/publish/rooms/a", GOOD);
    expect([yes.status, yes.headers.get("access-control-allow-origin"), yes.headers.get("access-control-allow-methods")]).toEqual([
      204,
      GOOD,
      "POST",
    ]);
    expect(yes.headers.get("access-control-allow-headers")).toContain("authorization");
    const no = await ask("/publish/rooms/a", "https://evil.example");
    expect([no.status, no.headers.get("access-control-allow-origin")]).toEqual([403, null]);
    expect((await ask("/nowhere", GOOD)).status).toBe(404);
    const plain = await fetch(`${instance.url}/publish/rooms/a`, { method: "OPTIONS" });
    expect([plain.status, plain.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("a route that is not there, or another method, comes before the origin", async () => {
    const headers = { origin: "https://evil.example" };
    expect((await fetch(`${instance.url}/nowhere`, { headers })).status).toBe(404);
    expect((await fetch(`${instance.url}/livez`, { method: "POST", headers })).status).toBe(405);
  });
});

test("without a list pages of any origin may come, and read", async () => {
  const instance = await Instance.start({ env: { LOCKSTEP_API_KEY: API_KEY } });
  const headers = { origin: "https://any.example" };
  const response = await fetch(`${instance.url}/history/rooms/a`, { headers: { ...headers, ...bearer(API_KEY) } });
  expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([200, "*"]);
  const preflight = await fetch(`${instance.url}/history/rooms/a`, {
    method: "OPTIONS",
    headers: { ...headers, "access-control-request-method": "GET", "access-control-request-headers": "authorization" },
  });
  expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, "*"]);
  await instance.stop();
});

describe("an address", () => {
  test.each([
    ["1.2.3.4", "1.2.3.4"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::FFFF:0102:0304", "1.2.3.4"],
    ["2001:DB8:0::1", "2001:db8::1"],
    ["::1", "::1"],
    ["1.2.3.4:5", undefined],
    ["01.2.3.4", undefined],
    ["fe80::1%eth0", undefined],
    ["", undefined],
    ["x", undefined],
  ])("%p has the plain form %p", (text, plain) => {
    expect(plainAddress(text)).toBe(plain);
  });

  test("is in a network or not", () => {
    const networks = new Networks(["10.0.0.0/8", "192.168.1.7", "fd00::/8", "::1", "0.0.0.0/32"]);
    expect(["10.255.0.1", "192.168.1.7", "fd12::9", "::1"].map((one) => networks.has(one))).toEqual([true, true, true, true]);
    expect(["11.0.0.1", "192.168.1.8", "fe00::1", "::2", "127.0.0.1"].map((one) => networks.has(one))).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  test.each([
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0/8",
    "::/129",
    "::ffff:10.0.0.0/104",
    "::ffff:10.0.0.0/8",
    "localhost",
    "*",
    "10.0.0.0/08",
  ])("%s is no network", (text) => {
    expect(networkFault(text)).toBeDefined();
  });
});

describe("behind a proxy", () => {
  const limit = "[limits]\nmax_connections_per_ip = 1\n";
  const join = async (instance: Instance, forwarded: string): Promise<number> => {
    const { answer } = await Client.ask(instance.port, "/ws/rooms/a", { headers: { "X-Forwarded-For": forwarded } });
    return answer.status;
  };

  test("that is trusted, the address that it names counts, and not what stands before it", async () => {
    const instance = await Instance.start({ toml: `${limit}[server]\ntrusted_proxies = ["127.0.0.0/8", "10.0.0.1"]` });
    expect(await join(instance, "203.0.113.1")).toBe(101);
    expect(await join(instance, "203.0.113.1")).toBe(429);
    expect(await join(instance, "1.1.1.1, 203.0.113.1")).toBe(429);
    expect(await join(instance, "203.0.113.1, 10.0.0.1")).toBe(429);
    expect(await join(instance, "::ffff:203.0.113.1")).toBe(429);
    expect(await join(instance, "203.0.113.1:4711")).toBe(429);
    expect(await join(instance, "203.0.113.2")).toBe(101);
    expect(await join(instance, "203.0.113.2, not an address, 203.0.113.3")).toBe(101);
    expect(await join(instance, "[2001:db8::1]:80")).toBe(101);
    expect(await join(instance, "2001:DB8::1")).toBe(429);
    // Nothing that can be read: it is the proxy itself.
    expect(await join(instance, "unknown")).toBe(101);
    expect(await join(instance, "")).toBe(429);
    await instance.stop();
  });

  test("that is not, nobody changes the own address", async () => {
    const instance = await Instance.start({ toml: `${limit}[server]\ntrusted_proxies = ["10.0.0.1"]` });
    expect([await join(instance, "203.0.113.1"), await join(instance, "203.0.113.2")]).toEqual([101, 429]);
    await instance.stop();
  });
});
