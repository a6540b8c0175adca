import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../support/chromium.ts";
import { Server } from "../support/executable.ts";
import { findProgram } from "../support/programs.ts";
import { freePort, RedisServer } from "../support/redis.ts";
import { API_KEY } from "../support/tokens.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

setDefaultTimeout(30_000);
// Before any time runs: it may have to be installed.
findProgram("chromium");

const folder = join(import.meta.dir, "../../examples");
const files = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: ({ url }) => new Response(Bun.file(join(folder, new URL(url).pathname))),
});
let browser: Browser;
let redis: RedisServer;

beforeAll(async () => {
  [browser, redis] = await Promise.all([launchChromium(), RedisServer.start("always")]);
});

afterAll(async () => {
  await browser.close();
  await redis.stop();
  await files.stop(true);
});

/** Lockstep as `examples/lockstep.toml` says, on a port that it can have again after it has ended. */
function serve(port: number): Promise<Server> {
  const config = join(folder, "lockstep.toml");
  return Server.start({ REDIS_URL: redis.url, LOCKSTEP_CONFIG: config, LOCKSTEP_API_KEY: API_KEY, PORT: String(port) });
}

/** A page as a phone shows it, and every address that it has asked. */
interface Opened {
  readonly page: Page;
  readonly asked: string[];
}

async function open(address: string, query: Record<string, string>): Promise<Opened> {
  const page = await browser.newPage({ viewport: { width: 360, height: 640 } });
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url()));
  await page.goto(`${address}?${new URLSearchParams(query).toString()}`);
  await state(page, "connected");
  return { page, asked };
}

function state(page: Page, expected: string): Promise<void> {
  return waitFor(`the state "${expected}"`, async () => (await page.locator("#state").innerText()).startsWith(expected));
}

/** Resolves with the lines of a page once there are so many. */
async function lines(page: Page, count: number): Promise<string[]> {
  let texts: string[] = [];
  await waitFor(`${count} lines`, async () => (texts = await page.locator("li").allTextContents()).length >= count);
  return texts;
}

async function say(page: Page, text: string): Promise<void> {
  await page.fill("#text", text);
  await page.keyboard.press("Enter");
}

/** Runs `examples/backend.ts`; `said` is what it has written by now. */
function backend(port: number, text: string): { done: Promise<string>; said: () => string } {
  const env = { LOCKSTEP_URL: `http://127.0.0.1:${port}`, LOCKSTEP_API_KEY: API_KEY };
  const child = Bun.spawn([process.execPath, join(folder, "backend.ts"), "orders", text], { env, stdout: "pipe", stderr: "pipe" });
  let said = "";
  const done = (async () => {
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) said += part;
    const position = (await new Response(child.stdout).text()).trim();
    if ((await child.exited) !== 0) throw new Error(said);
    return position;
  })();
  return { done, said: () => said };
}

test.each(["chat.html", "notifications.html"])("%s has fewer than 60 lines", async (name) => {
  const { length } = (await Bun.file(join(folder, name)).text()).trimEnd().split("\n");
  expect(length).toBeGreaterThan(20);
  expect(length).toBeLessThan(60);
});

describe("the chat room", () => {
  test("hears everybody, once and in one order, over a server that is killed in the middle of it", async () => {
    const port = await freePort();
    const first = await serve(port);
    const room = "tea & more";
    const ann = await open(`${files.url.href}chat.html`, { name: "Ann", room, port: String(port) });
    // Also from the disk, whose pages have the origin "null".
    const bob = await open(Bun.pathToFileURL(join(folder, "chat.html")).href, { name: "Bob", room, port: String(port) });
    const html = "<img src=x onerror=\"document.title='run'\">";
    await say(ann.page, html);
    for (const { page } of [ann, bob]) {
      expect(await lines(page, 1)).toEqual([html]);
      expect(await page.locator("li").getAttribute("data-head")).toBe("Ann");
      expect([await page.locator("img").count(), await page.title()]).toEqual([0, "Chat"]);
    }

    const publish = (server: Server, body: string): Promise<Response> =>
      fetch(`${server.url}/publish/rooms/${encodeURIComponent(room)}`, { method: "POST", body });
    const twice = '{"id":"7","from":"Cem","said":"sent twice, shown once"}';
    for (const body of ["from curl", twice, twice, '{"said":']) await publish(first, body);
    for (const { page } of [ann, bob]) {
      expect((await lines(page, 4)).slice(1)).toEqual(["from curl", "sent twice, shown once", '{"said":']);
    }

    for (let count = 1; count <= 10; count += 1) await say(ann.page, `before ${count}`);
    await first.end("SIGKILL");
    await Promise.all([ann, bob].map(({ page }) => state(page, "connection lost")));
    for (const { page } of [ann, bob]) for (let count = 1; count <= 3; count += 1) await say(page, `meanwhile ${count}`);
    const second = await serve(port);
    await publish(second, "from curl again");
    const heard = await lines(ann.page, 21);
    expect(await lines(bob.page, 21)).toEqual(heard);
    const before = Array.from({ length: 10 }, (_, index) => `before ${index + 1}`);
    const meanwhile = [1, 2, 3].flatMap((count) => [`meanwhile ${count}`, `meanwhile ${count}`]);
    expect(heard.slice(4).toSorted()).toEqual([...before, ...meanwhile, "from curl again"].toSorted());
    expect(heard.filter((text) => text.startsWith("before"))).toEqual(before);
    await Promise.all([ann, bob].map(({ page }) => state(page, "connected")));

    const asked = [...ann.asked, ...bob.asked].filter((url) => !url.startsWith("file:") && !url.startsWith("data:"));
    const hosts = new Set(asked.map((url) => new URL(url).host));
    expect(hosts).toEqual(new Set([files.url.host, `localhost:${port}`, `127.0.0.1:${port}`]));
    await Promise.all([ann.page.close(), bob.page.close(), second.end()]);
  });

  test("fits a phone, shows what a newcomer has missed, and does not come back where that would not help", async () => {
    const port = await freePort();
    const server = await serve(port);
    const publish = (body: string): Promise<Response> => fetch(`${server.url}/publish/rooms/long`, { method: "POST", body });
    for (let count = 0; count < 40; count += 1) await publish(`${count}${"W".repeat(200)}`);
    const { page, asked } = await open(`${files.url.href}chat.html`, { room: "long", port: String(port) });
    expect((await lines(page, 40)).length).toBe(40);
    expect(await page.evaluate("[document.documentElement, log].every((part) => part.scrollWidth <= part.clientWidth)")).toBe(true);
    for (const part of [page.locator("button"), page.locator("li").last()]) {
      const box = await part.boundingBox();
      expect(box === null ? 0 : box.y + box.height).toBeWithin(1, 641);
    }
    await page.evaluate("text.value = 'x'.repeat(70_000)");
    await page.click("button");
    await state(page, "closed with 1009");
    await whileNothingHappens(2000);
    expect(asked.filter((url) => url.startsWith("ws:")).length).toBe(1);
    await Promise.all([page.close(), server.end()]);
  });
});

describe("the notification page", () => {
  test("gets what the backend publishes, once, over a killed server, a Redis that hangs and one that forgets", async () => {
    const port = await freePort();
    const first = await serve(port);
    const { page, asked } = await open(`${files.url.href}notifications.html`, { port: String(port) });
    const position = await backend(port, "<b>paid</b>").done;
    expect(position).toMatch(/^[^-]+-\d+$/);
    expect(await lines(page, 1)).toEqual(["<b>paid</b>"]);
    expect(await page.locator("li").getAttribute("data-head")).toMatch(/\d:\d\d/);

    await first.end("SIGKILL");
    await state(page, "connection lost");
    const meanwhile = backend(port, "packed");
    await waitFor("a failed attempt", () => meanwhile.said().includes("again in 1 s"));
    const second = await serve(port);
    await meanwhile.done;
    expect(await lines(page, 2)).toEqual(["<b>paid</b>", "packed"]);

    redis.pause();
    const hanging = backend(port, "sent");
    await waitFor("a 503", () => hanging.said().includes('"status":503'));
    redis.resume();
    await hanging.done;
    const { messages } = await history(second.url);
    expect(messages.map(({ text }) => JSON.parse(text).text)).toEqual(["<b>paid</b>", "packed", "sent"]);
    expect(await lines(page, 3)).toEqual(["<b>paid</b>", "packed", "sent"]);

    const client = redis.client();
    await client.flushall();
    await backend(port, "arrived").done;
    const all = await lines(page, 5);
    expect(all).toEqual(["<b>paid</b>", "packed", "sent", "Notifications may be missing here.", "arrived"]);
    const hosts = new Set(asked.filter((url) => !url.startsWith("data:")).map((url) => new URL(url).host));
    expect(hosts).toEqual(new Set([files.url.host, `127.0.0.1:${port}`]));
    await Promise.all([page.close(), second.end()]);
  });

  test("comes back by itself where a browser would not, and the backend is told what is final", async () => {
    const port = await freePort();
    const other = Bun.serve({ port, hostname: "127.0.0.1", fetch: () => new Response("busy", { status: 503 }) });
    const page = await browser.newPage();
    await page.goto(`${files.url.href}notifications.html?port=${port}`);
    await state(page, "refused");
    await other.stop(true);
    const server = await serve(port);
    await state(page, "connected");
    const env = { LOCKSTEP_URL: server.url, LOCKSTEP_API_KEY: "another" };
    const child = Bun.spawn([process.execPath, join(folder, "backend.ts"), "orders", "x"], { env, stderr: "pipe" });
    expect(await new Response(child.stderr).text()).toContain("401");
    expect(await child.exited).toBe(1);
    await Promise.all([page.close(), server.end()]);
  });
});

async function history(url: string): Promise<{ messages: { text: string }[] }> {
  const response = await fetch(`${url}/history/notifications/orders`);
  const answer: { messages: { text: string }[] } = JSON.parse(await response.text());
  return answer;
}
