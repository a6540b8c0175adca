import { afterAll, beforeAll, expect, test } from "bun:test";
import { Instance } from "../../support/instance.ts";
import { numbersFrom } from "../../support/random.ts";
import { Raw } from "../../support/raw.ts";
import { Reference } from "../../support/reference.ts";
import { API_KEY, bearer, compact, EVERYTHING, HOUR_AHEAD, SECRET, tokenOf } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

/*
 * Requests that nobody would write, but somebody will send: thousands of them from fixed seeds. Whatever they are, the answer is
 * one that the contract knows and the reference documents, shows nothing of the inside, and nobody gets past the token check.
 */

const REQUESTS = 6000;
const AT_ONCE = 50;
const ANSWER_MS = 250;
/** Bodies of those who may not publish hold this; nobody may ever be sent it. */
const MARK = "not to be heard";
const FREE = new Set(["/", "/livez", "/readyz", "/openapi/json"]);
/** 417, 501 and 505 are Bun's own. */
const STATUSES = new Set([101, 200, 204, 400, 401, 403, 404, 405, 413, 417, 426, 429, 431, 501, 503, 505]);
const INSIDE = /\/src\/|node_modules|\bat \w+ \(|\.ts:\d|(Type|Syntax|Range|Reference)Error/;

let instance: Instance;
let reference: Reference;
beforeAll(async () => {
  const env = { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY, LOCKSTEP_ORIGINS: "https://good.example" };
  instance = await Instance.start({ env });
  reference = await Reference.of(instance.url);
});
afterAll(() => instance.stop());

interface Fuzzed {
  readonly bytes: Buffer;
  readonly method: string;
  readonly target: string;
  readonly valid: boolean;
  /** Whether its target is a route that asks for no token. */
  readonly free: boolean;
}

function fuzzer(seed: number, tokens: { good: string; expired: string }): () => Fuzzed {
  const below = numbersFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] ?? pick(list);
  const often = (percent: number): boolean => below(100) < percent;
  const noise = (length: number): string => Array.from({ length }, () => String.fromCharCode(below(256))).join("");

  const segments = [
    "rooms",
    "a",
    "7",
    "07",
    "ws_example_channel",
    "%2F",
    "%",
    "%ff",
    "%00",
    "%e6%b5%8b",
    "..",
    ".",
    "%2e%2e",
    ":",
    "a:b",
    "*",
    "**",
    "",
    "\\",
    ";",
    "@",
    "__proto__",
    "constructor",
    "x".repeat(300),
    "{room}",
    "%7Broom%7D",
    "a%0d%0aX:1",
  ];
  const routes = [
    "/ws/",
    "/sse/",
    "/publish/",
    "/history/",
    "/presence/",
    "/disconnect",
    "/livez",
    "/readyz",
    "/metrics",
    "/",
    "/openapi/json",
    "//",
    "/ws",
    "/WS/",
    "/ws%2F",
    "/publish//",
  ];
  const methods = ["GET", "POST", "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "get", "TRACE", "X", "CONNECT"];
  const numbers = [
    "0",
    "1",
    "10",
    "-1",
    "1e3",
    "0x1f",
    "",
    "999999999999999999999",
    "NaN",
    "abc-1",
    "-",
    "abc-",
    "--1",
    "abc-99999999999999999999",
    "%00",
  ];
  const names = ["since", "recent", "hello", "limit", "last_event_id", "token", "__proto__", "a[]", ""];
  const hosts = ["a", "127.0.0.1", "", "a b", "[::1", "x".repeat(300), "a:99999", "é", "good.example"];

  const target = (): string => {
    const route = often(80) ? pick(["/ws/", "/sse/", "/publish/", "/history/", "/presence/"]) : pick(routes);
    const odd = (): string => Array.from({ length: 1 + below(3) }, () => pick(segments)).join("/");
    const path = route.endsWith("/") && often(95) ? (often(70) ? pick(["rooms/a", "rooms/7", "7", "ws_example_channel"]) : odd()) : "";
    const query = often(40) ? `?${Array.from({ length: 1 + below(3) }, () => `${pick(names)}=${pick(numbers)}`).join("&")}` : "";
    return route + path + query;
  };
  const credential = (): string | undefined =>
    pick([
      undefined,
      undefined,
      "Bearer",
      "Bearer ",
      `Bearer ${noise(20)}`,
      "Basic eDp5",
      `Bearer ${tokens.expired}`,
      `Bearer ${compact({ alg: "none" }, { sub: "7", exp: HOUR_AHEAD, lockstep: EVERYTHING }, "")}`,
      `Bearer ${API_KEY}x`,
      `Bearer ${tokens.good.slice(0, -3)}`,
      `Bearer ${tokens.good}`,
      `Bearer ${tokens.good}`,
    ]);

  return () => {
    const path = target();
    const authorization = credential();
    const valid = authorization === `Bearer ${tokens.good}`;
    const body = often(50) ? `${valid ? "fine" : MARK} ${noise(below(50))}` : "";
    const headers: string[] = [`Host: ${often(90) ? "a" : pick(hosts)}`];
    if (authorization !== undefined) headers.push(`Authorization: ${authorization}`);
    if (often(30)) headers.push(`Origin: ${pick(["https://good.example", "https://good.example.evil.example", "null", "", noise(5)])}`);
    if (often(40))
      headers.push(
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        `Sec-WebSocket-Key: ${pick(["dGhlIHNhbXBsZSBub25jZQ==", "x", ""])}`,
      );
    else if (often(80)) headers.push("Connection: close");
    if (often(15))
      headers.push(`Sec-WebSocket-Protocol: ${pick(["lockstep", "lockstep, lockstep.token.x.y.z", "lockstep.token.", ",", noise(8)])}`);
    if (often(10)) headers.push(`X-Forwarded-For: ${pick(["1.2.3.4", ",,,", noise(20)])}`);
    if (often(10)) headers.push(`Idempotency-Key: ${pick(["k", "", "x".repeat(200), noise(3)])}`);
    if (often(10)) headers.push(`Content-Type: ${pick(["application/octet-stream", "text/plain", "multipart/form-data", noise(5)])}`);
    if (often(10)) headers.push(`Last-Event-ID: ${pick(numbers)}`);
    if (often(5)) headers.push(noise(10));
    if (often(5)) headers.push(`${pick(["__proto__", "constructor", "X Y", ""])}: 1`);
    if (body !== "" || often(20))
      headers.push(
        often(90)
          ? `Content-Length: ${Buffer.byteLength(body, "latin1")}`
          : pick([
              "Content-Length: -1",
              "Content-Length: 99999999999",
              "Transfer-Encoding: chunked",
              "Content-Length: 1\r\nContent-Length: 2",
              "Content-Length: 3\r\nTransfer-Encoding: chunked",
            ]),
      );
    const usual = /^.(publish|disconnect)/.test(path) ? "POST" : "GET";
    const method = often(90) ? usual : pick(methods);
    const asked = often(97) ? path : noise(10);
    const text = `${method} ${asked} HTTP/${often(97) ? "1.1" : pick(["1.0", "2.0", "9", ""])}\r\n${headers.join("\r\n")}\r\n\r\n${body}`;
    const free = FREE.has(URL.parse(`http://localhost${asked}`)?.pathname ?? "");
    return { bytes: Buffer.from(text, "latin1"), method, target: asked, valid, free };
  };
}

/** Everything about the first answer, or undefined where there was none, or only a part of it so far. */
function answerOf(heard: string, asked = ""): { status: number; head: string; body: string } | undefined {
  const [head = "", ...rest] = heard.split("\r\n\r\n");
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
  if (status === undefined) return undefined;
  // An answer to HEAD says how long it would be.
  const length = asked.startsWith("HEAD") ? 0 : (/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  const body = rest.join("\r\n\r\n").slice(0, Number(length));
  return body.length < Number(length) ? undefined : { status: Number(status), head, body };
}

function check({ bytes, method, target, valid, free }: Fuzzed, heard: string): void {
  const what = bytes.toString("latin1");
  const answer = answerOf(heard, what);
  if (answer === undefined) return;
  const { status, head, body } = answer;
  expect([what, STATUSES.has(status) ? "known" : status]).toEqual([what, "known"]);
  expect(INSIDE.test(heard) ? [what, heard] : "nothing of the inside").toBe("nothing of the inside");
  if (status >= 400 && body !== "") {
    expect([what, /^content-type: application\/problem\+json/im.test(head)]).toEqual([what, true]);
    expect(JSON.parse(Buffer.from(body, "latin1").toString())).toEqual({
      type: expect.stringContaining("urn:lockstep:problem:"),
      title: expect.any(String),
      status,
      detail: expect.any(String),
    });
  }
  const operation = reference.find(method, target);
  // What comes of the parser has no body, and is nobody's answer.
  if (operation !== undefined && (status < 400 || body !== "")) {
    const headers = new Map(
      [...head.matchAll(/^([\w-]+): (.*)$/gm)].map(([, name = "", value = ""]) => [name.toLowerCase(), value.trim()]),
    );
    const isStream = headers.get("content-type") === "text/event-stream";
    const text = Buffer.from(isStream ? "" : body, "latin1").toString();
    expect([what, reference.differences(operation, { status, headers, body: text })]).toEqual([what, []]);
  }
  if (!valid && !free) expect([what, status === 101 || status === 200]).toEqual([what, false]);
}

test.each([1, 2, 3, 4])("answers whatever it is asked, and lets nobody past the token check (seed %d)", async (seed) => {
  const tokens = { good: await tokenOf({ sub: "7", ...EVERYTHING }), expired: await tokenOf({ sub: "7", ...EVERYTHING, ttlMs: -5000 }) };
  const next = fuzzer(seed, tokens);
  const watchers = await Promise.all(
    ["rooms/a", "rooms/7", "7", "ws_example_channel"].map((path) => instance.join(path, { headers: bearer(API_KEY) })),
  );
  for (let done = 0; done < REQUESTS; done += AT_ONCE) {
    const asked = Array.from({ length: AT_ONCE }, next);
    const raws = asked.map(({ bytes }) => new Raw(instance.port, bytes));
    const deadlineMs = Date.now() + ANSWER_MS;
    // Some never get an answer: they have promised more than they sent, or joined.
    const answered = ({ heard, ended }: Raw, index: number): boolean =>
      ended || answerOf(heard, asked[index]?.bytes.toString("latin1")) !== undefined;
    await waitFor("the answers", () => Date.now() > deadlineMs || raws.every(answered));
    for (const [index, raw] of raws.entries()) {
      const one = asked[index];
      if (one !== undefined) check(one, raw.heard);
      raw.destroy();
    }
  }
  for (const watcher of watchers) {
    expect(watcher.closed).toBe(false);
    expect(watcher.messages.filter((message) => message.toString("latin1").includes(MARK))).toEqual([]);
    watcher.destroy();
  }
  expect(instance.log.filter(({ level }) => level === "error")).toEqual([]);
  const log = JSON.stringify(instance.log);
  for (const secret of [tokens.good, tokens.expired, API_KEY, SECRET]) expect(log).not.toContain(secret);
  await waitFor("everybody to be gone", async () => {
    const text = await (await fetch(`${instance.url}/metrics`, { headers: bearer(API_KEY) })).text();
    return text.includes("\nlockstep_connections 0\n");
  });
});
