import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { launchChromium } from "../../support/chromium.ts";
import type { Client } from "../../support/client.ts";
import { Server } from "../../support/executable.ts";
import { Instance, type Setup } from "../../support/instance.ts";
import { Proxy } from "../../support/proxy.ts";
import { findProgram } from "../../support/programs.ts";
import { freePort, RedisServer } from "../../support/redis.ts";
import { API_KEY, SECRET, tokenOf } from "../../support/tokens.ts";
import { waitFor } from "../../support/wait.ts";

setDefaultTimeout(30_000);
// Before any time runs: it may have to be installed.
findProgram("chromium");

/** Polls inside the page, and rarely: reading ten thousand rows all the time would keep it from showing them. */
function newest(page: Page, text: string): Promise<unknown> {
  return page.evaluate(`new Promise((resolve) => {
    const look = () => {
      const rows = document.querySelectorAll(".row .text");
      if (rows[rows.length - 1]?.textContent.startsWith(${JSON.stringify(text)})) resolve();
      else setTimeout(look, 100);
    };
    look();
  })`);
}

/** No limit on messages per second. */
const UNLIMITED = '[limits]\nmessages_per_second = 0\n\n[[channels]]\npath = "rooms/{room}"\n';

/** Distance to the end of the log, in pixels. */
const TO_THE_END = `(() => {
  const log = document.querySelector("[role=log]");
  return Math.floor(log.scrollHeight - log.scrollTop - log.clientHeight);
})()`;

/** Limit for steps that a slow machine draws out: they have to end, no matter when. */
const SLOW_MS = 40_000;

let browser: Browser;
const instances: Instance[] = [];

beforeAll(async () => {
  browser = await launchChromium();
});

afterAll(() => browser.close());

async function start(setup?: Setup): Promise<Instance> {
  const instance = await Instance.start(setup);
  instances.push(instance);
  return instance;
}

/** Messages of the browser itself about failed requests; a page cannot suppress them. */
const OF_THE_NETWORK = /^Failed to load resource: |^WebSocket connection to '[^']*' failed: /;

/** A console, with all of its requests and faults. */
class Console {
  static readonly opened: Console[] = [];
  readonly page: Page;
  /** URLs of all requests. */
  readonly asked: string[] = [];
  /** The browser's messages about failed requests; everything else in its console is a fault. */
  readonly refusals: string[] = [];
  readonly faults: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("request", (request) => this.asked.push(request.url()));
    page.on("websocket", (socket) => this.asked.push(socket.url()));
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => (OF_THE_NETWORK.test(message.text()) ? this.refusals : this.faults).push(message.text()));
  }

  static async open(url: string, hash = "", options: BrowserContextOptions = {}): Promise<Console> {
    // The runner kills it with a test that takes too long; the next tests get a new one.
    if (!browser.isConnected()) browser = await launchChromium();
    const context = await browser.newContext({ locale: "en-GB", ...options });
    const opened = new Console(await context.newPage());
    Console.opened.push(opened);
    await opened.page.goto(`${url}/${hash}`);
    return opened;
  }

  panel(name: string): Panel {
    return new Panel(this.page.getByRole("region", { name, exact: true }));
  }

  async join(typed: string): Promise<void> {
    await this.page.getByLabel("Channel", { exact: true }).fill(typed);
    await this.page.getByLabel("Channel", { exact: true }).press("Enter");
  }

  async enterToken(token: string): Promise<void> {
    await this.page.locator("#token-field").fill(token);
    await this.page.locator("#token-field").press("Enter");
  }
}

/** One channel of a console. */
class Panel {
  readonly node: Locator;

  constructor(node: Locator) {
    this.node = node;
  }

  texts(): Promise<string[]> {
    return this.node.locator(".row .text").allTextContents();
  }

  marks(): Promise<string[]> {
    return this.node.locator(".mark .words").allTextContents();
  }

  async is(state: string): Promise<void> {
    await waitFor(`the state ${state}`, async () => (await this.node.locator(".state").textContent()) === state);
  }

  async shows(text: string): Promise<void> {
    await waitFor(`the message ${text.slice(0, 40)}`, async () => (await this.texts()).includes(text));
  }

  async says(mark: RegExp, times = 1): Promise<void> {
    await waitFor(`the mark ${mark.source}`, async () => (await this.marks()).filter((one) => mark.test(one)).length >= times);
  }

  async warns(words: string): Promise<void> {
    await this.node.locator(".strip").getByText(words).first().waitFor();
  }

  async send(text: string): Promise<void> {
    await this.node.getByRole("textbox").fill(text);
    await this.node.getByRole("textbox").press("Enter");
  }
}

// Whatever a test does, a console stays with its own server, within its policy and without a fault.
afterEach(async () => {
  for (const { page, asked, faults } of Console.opened.splice(0)) {
    const host = new URL(page.url()).host;
    await page.context().close();
    expect(faults).toEqual([]);
    expect(asked.filter((address) => !address.startsWith("data:") && new URL(address).host !== host)).toEqual([]);
  }
  await Promise.all(instances.splice(0).map((instance) => instance.stop()));
});

describe("GET /", () => {
  test("answers with a page that may do nothing but run itself and speak to its server", async () => {
    const { url } = await start({ env: { LOCKSTEP_API_KEY: API_KEY, LOCKSTEP_ORIGINS: "https://chat.example" } });
    const response = await fetch(`${url}/`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const policy = response.headers.get("content-security-policy")?.split("; ") ?? [];
    expect(policy).toEqual([
      "default-src 'none'",
      expect.stringMatching(/^script-src 'sha256-[\w+/]{43}='$/),
      expect.stringMatching(/^style-src 'sha256-[\w+/]{43}='$/),
      "img-src data:",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("referrer-policy")).toBe("no-referrer");
    expect((await response.text()).length).toBeLessThan(100_000);
  });

  test("is asked for again with its tag, and then is not sent again", async () => {
    const { url } = await start();
    const first = await fetch(`${url}/`);
    const etag = first.headers.get("etag") ?? "";
    expect(first.headers.get("cache-control")).toBe("no-cache");
    for (const [tag, status] of [
      [etag, 304],
      [`W/${etag}, "other"`, 304],
      ["*", 304],
      ['"other"', 200],
    ] as const) {
      const again = await fetch(`${url}/`, { headers: { "if-none-match": tag } });
      expect([tag, again.status, again.headers.get("etag")]).toEqual([tag, status, etag]);
      await again.text();
    }
  });

  test("takes HEAD as well and nothing else, and no page of another origin", async () => {
    const { url } = await start({ env: { LOCKSTEP_ORIGINS: "https://chat.example" } });
    const head = await fetch(`${url}/`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(Number(head.headers.get("content-length"))).toBe((await (await fetch(`${url}/`)).bytes()).length);
    const post = await fetch(`${url}/`, { method: "POST", body: "x" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect((await fetch(`${url}/`, { headers: { origin: "https://elsewhere.example" } })).status).toBe(403);
    expect((await fetch(`${url}/`, { method: "HEAD", headers: { origin: "https://elsewhere.example" } })).status).toBe(403);
    expect((await fetch(`${url}/`, { headers: { origin: "https://chat.example" } })).status).toBe(200);
  });

  test("is the same bytes from the executable, which runs it", async () => {
    const { url } = await start();
    const server = await Server.start();
    const [source, executable] = await Promise.all([url, server.url].map(async (one) => fetch(`${one}/`)));
    expect(executable?.headers.get("etag")).toBe(source?.headers.get("etag") ?? "none");
    expect(executable?.headers.get("content-security-policy")).toBe(source?.headers.get("content-security-policy") ?? "none");
    expect(await executable?.text()).toBe((await source?.text()) ?? "none");
    const { page } = await Console.open(server.url);
    await page.getByRole("button", { name: "rooms/lobby" }).click();
    const panel = new Panel(page.getByRole("region", { name: "rooms/lobby" }));
    await panel.send("from the executable");
    await panel.shows("from the executable");
    await server.end();
  });
});

describe("two consoles", () => {
  test("talk to each other, see who is there, and nothing at all goes wrong", async () => {
    const { url } = await start();
    const [one, two] = await Promise.all([Console.open(url), Console.open(url)]);
    for (const each of [one, two]) await each.join("rooms/lobby");
    const [left, right] = [one.panel("rooms/lobby"), two.panel("rooms/lobby")];
    await Promise.all([left.is("open"), right.is("open")]);
    await left.send("hello, 你好");
    await right.shows("hello, 你好");
    await right.send("<b>and</b>\nback");
    await left.shows("<b>and</b>\nback");
    expect(await left.texts()).toEqual(await right.texts());
    expect(await left.node.locator(".row .at").allTextContents()).toEqual(["1", "2"]);
    expect(await left.node.locator(".row.own .text").allTextContents()).toEqual(["hello, 你好"]);
    await left.node.getByText("2 here").waitFor();
    expect([...one.refusals, ...two.refusals]).toEqual([]);
  });

  test("see a tick and an envelope, side by side, and come back to their channels by the page's address", async () => {
    const { url } = await start();
    const { page } = await Console.open(url, "#ws_example_channel&42");
    const opened = new Panel(page.getByRole("region", { name: "42" }));
    await opened.is("open");
    await opened.send("测试");
    await opened.shows('{"type": "user_event", "data": "测试"}');
    expect(await opened.node.locator(".row.own").count()).toBe(1);
    const ticks = new Panel(page.getByRole("region", { name: "ws_example_channel" }));
    await waitFor("a tick", async () => (await ticks.texts()).some((text) => text.startsWith("TODO 示例:当前时间(周期任务): ")));
    await page.reload();
    await opened.is("open");
    await ticks.is("open");
  });

  test("replay the last messages, as many as are asked for", async () => {
    const instance = await start();
    for (let count = 1; count <= 30; count += 1) await instance.publish("rooms/a", `message ${count}`);
    const console = await Console.open(instance.url, "#rooms/a");
    const panel = console.panel("rooms/a");
    await panel.shows("message 30");
    expect(await panel.texts()).toEqual(Array.from({ length: 20 }, (_, index) => `message ${index + 11}`));
    await console.page.getByLabel("Replay", { exact: true }).selectOption("100");
    await panel.node.getByRole("button", { name: /^Replay the last/ }).click();
    await panel.shows("message 1");
    await waitFor("all of them", async () => (await panel.texts()).length === 30);
  });
});

describe("what stands in a message", () => {
  test("is text, whatever it looks like", async () => {
    const instance = await start();
    const { page, panel } = await openRoom(instance);
    const markup = `<img src="https://elsewhere.example/x" onerror="document.title='taken'"><script>document.title='taken'</script>`;
    await instance.publish("rooms/a", markup);
    await instance.publish("rooms/a", JSON.stringify({ [markup]: markup }));
    await panel.shows(markup);
    await panel.node.getByRole("button", { name: "Details" }).last().click();
    expect(await panel.node.locator(".details pre").textContent()).toBe(`{\n  ${JSON.stringify(markup)}: ${JSON.stringify(markup)}\n}`);
    expect(await panel.node.locator(".log :is(img, script)").count()).toBe(0);
    expect(await page.title()).toBe("Lockstep");
  });

  test("has no sign that is not seen, and is copied as it is", async () => {
    const instance = await start();
    const options = { permissions: ["clipboard-read", "clipboard-write"] };
    const { page } = await Console.open(instance.url, "#rooms/a%E2%80%AEb", options);
    const panel = new Panel(page.getByRole("region", { name: "rooms/a%E2%80%AEb", exact: true }));
    await panel.is("open");
    await instance.publish("rooms/a%E2%80%AEb", '{"a\u202e":"\u200bשלום\u2066"}');
    await panel.shows('{"a\\u202e":"\\u200bשלום\\u2066"}');
    await panel.node.getByRole("button", { name: "Details" }).click();
    const body = panel.node.locator(".details pre");
    expect(await body.textContent()).toBe('{\n  "a\\u202e": "\\u200bשלום\\u2066"\n}');
    expect(await body.locator(".sign").allTextContents()).toEqual(["\\u202e", "\\u200b", "\\u2066"]);
    expect(await body.locator("bdi").count()).toBe(2);
    await panel.node.getByRole("button", { name: "Copy", exact: true }).click();
    await panel.node.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate<string>("navigator.clipboard.readText()")).toBe('{\n  "a\u202e": "\u200bשלום\u2066"\n}');
  });

  test("turns nothing around but itself", async () => {
    const instance = await start();
    const { page, panel } = await openRoom(instance);
    await instance.publish("rooms/a", "\u202e".repeat(600));
    await panel.node.getByText("show all, 1.8 kB").waitFor();
    // Places of the first and last character of the page's own words.
    const places = await page.evaluate<[number, number]>(`(() => {
      const words = document.querySelector(".row .note").firstChild;
      return [0, words.length - 1].map((index) => {
        const range = new Range();
        range.setStart(words, index);
        range.setEnd(words, index + 1);
        return range.getBoundingClientRect().left;
      });
    })()`);
    expect(places[0]).toBeLessThan(places[1]);
  });

  test("is set out on demand: JSON on lines, bytes as hex, and as it was sent", async () => {
    const instance = await start();
    const { panel } = await openRoom(instance);
    await instance.publish("rooms/a", '{"n":1.0,"big":12345678901234567890}');
    await instance.publish("rooms/a", new Uint8Array([0, 255, 65, 66]), { "content-type": "application/octet-stream" });
    await panel.shows("binary, 4 B");
    const details = panel.node.getByRole("button", { name: "Details" });
    const body = panel.node.locator(".details pre");
    await details.first().click();
    expect(await body.textContent()).toBe('{\n  "n": 1.0,\n  "big": 12345678901234567890\n}');
    await panel.node.getByRole("button", { name: "as sent" }).click();
    expect(await body.textContent()).toBe('{"n":1.0,"big":12345678901234567890}');
    await details.first().click();
    expect(await body.count()).toBe(0);
    await details.last().click();
    expect(await body.textContent()).toMatch(/^000000 {2}00 ff 41 42 +\.\.AB$/);
  });

  test("is cut where it is long, and shown whole on demand, also at the largest size", async () => {
    const instance = await start();
    const { page, panel } = await openRoom(instance);
    const large = "长".repeat(21_845);
    await panel.send(large);
    await waitFor("the cut message", async () => (await panel.texts()).some((text) => text.endsWith("show all, 64.0 kB")));
    expect((await panel.texts())[0]?.length).toBeLessThan(500);
    await panel.node.locator(".row .text").click();
    expect(await panel.node.locator(".details pre").textContent()).toBe(large);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
  });

  test("may be too large to send: the page says so and gives it back", async () => {
    const { panel } = await openRoom(await start());
    await panel.send("x".repeat(65_537));
    await panel.warns("The message is larger than the server takes.");
    await panel.is("closed");
    expect((await panel.node.getByRole("textbox").inputValue()).length).toBe(65_537);
    await panel.node.getByRole("button", { name: "Connect", exact: true }).click();
    await panel.is("open");
  });
});

describe("a channel's name", () => {
  test("may be odd, on the page and in its address", async () => {
    const instance = await start();
    const console = await Console.open(instance.url);
    const names = ["rooms/a b", "rooms/100%25", "rooms/a%2Fb", "rooms/你好 & <i>?#", "rooms/'\"`*"];
    for (const name of names) {
      await console.join(name);
      await console.panel(name).is("open");
      await console.panel(name).send(`to ${name}`);
      await console.panel(name).shows(`to ${name}`);
    }
    expect(await (await fetch(`${instance.url}/history/rooms/a%2Fb`)).json()).toMatchObject({ messages: [{ text: "to rooms/a%2Fb" }] });
    await console.page.reload();
    for (const name of names) await console.panel(name).shows(`to ${name}`);
  });

  test("stands in an address with seven others at most", async () => {
    const { url } = await start();
    const names = Array.from({ length: 30 }, (_, index) => `rooms/${index}`);
    const console = await Console.open(url, `#${names.join("&")}`);
    await console.panel("rooms/7").is("open");
    expect(await console.page.getByRole("region").count()).toBe(8);
    expect(console.page.url()).toBe(`${url}/#${names.slice(0, 8).join("&")}`);
    await console.join("rooms/8");
    await console.panel("rooms/8").is("open");
  });

  test("that leads nowhere is refused in words", async () => {
    const { url } = await start();
    const console = await Console.open(url);
    await console.join("no/such/channel");
    await console.panel("no/such/channel").warns("There is no such channel on this server.");
    await console.join("rooms/");
    await console.panel("rooms/").warns("A path has no empty segment");
    await console.join("rooms/..");
    await console.page.getByText("This is no channel's path.").waitFor();
    expect(await console.page.getByRole("region").count()).toBe(2);
  });
});

/** A console on `rooms/a`. */
async function openRoom(instance: Instance): Promise<{ console: Console; page: Page; panel: Panel }> {
  const console = await Console.open(instance.url, "#rooms/a");
  const panel = console.panel("rooms/a");
  await panel.is("open");
  return { console, page: console.page, panel };
}

/** A console on `rooms/a` of a server without a message rate, and a client that sends there. */
async function openBusyRoom(): Promise<{ page: Page; panel: Panel; sender: Client }> {
  const instance = await start({ toml: UNLIMITED });
  const { page, panel } = await openRoom(instance);
  return { page, panel, sender: await instance.join("rooms/a") };
}

describe("a connection that is lost", () => {
  test("is taken up again by a server that comes back, and the marks say what is missing", async () => {
    const redis = await RedisServer.start();
    const env = { REDIS_URL: redis.url, PORT: String(await freePort()) };
    const first = await Instance.start({ env });
    const beside = await start({ env: { REDIS_URL: redis.url } });
    const console = await Console.open(first.url, "#rooms/a&ws_example_channel");
    const [room, plain] = [console.panel("rooms/a"), console.panel("ws_example_channel")];
    await Promise.all([room.is("open"), plain.is("open")]);
    await room.send("before");
    await room.shows("before");
    await first.drain();
    await room.is("lost");
    await console.page.getByText("the server does not answer").waitFor();
    await room.warns("The server cannot be reached.");
    await beside.publish("rooms/a", "meanwhile");
    const second = await start({ env });
    expect(second.url).toBe(first.url);
    await room.node.getByRole("button", { name: "Try now" }).click();
    await room.is("open");
    await room.says(/^The instance is shutting down\.$/);
    await room.says(/^Back again: nothing is missing$/);
    await room.shows("meanwhile");
    expect(await room.texts()).toEqual(["before", "meanwhile"]);
    await plain.is("open");
    await plain.says(/this channel keeps no history$/);
    await room.send("after");
    await room.shows("after");
    await redis.stop();
  });

  test("over a restart of Redis shows what was missed, or that something may be", async () => {
    const redis = await RedisServer.start("always");
    const instance = await start({ env: { REDIS_URL: redis.url } });
    const console = await Console.open(instance.url, "#rooms/a&ws_example_channel");
    const [room, plain] = [console.panel("rooms/a"), console.panel("ws_example_channel")];
    await Promise.all([room.is("open"), plain.is("open")]);
    await room.send("before");
    await room.shows("before");
    await redis.kill();
    await console.page.getByText("the server is cut off from Redis").waitFor();
    await redis.start();
    await plain.says(/^The page read too slowly, or messages could not/);
    await plain.says(/^Back again: messages may be missing here/);
    await plain.is("open");
    await room.send("after");
    await room.shows("after");
    expect(await room.texts()).toEqual(["before", "after"]);
    expect((await room.marks()).filter((mark) => !mark.startsWith("Joined"))).toEqual([]);
    await redis.stop();
  });

  test("to a server that has forgotten the channel says that messages may be missing", async () => {
    const env = { PORT: String(await freePort()) };
    const first = await Instance.start({ env });
    const { panel } = await openRoom(first);
    await first.publish("rooms/a", "before");
    await panel.shows("before");
    await first.drain();
    const second = await start({ env });
    await second.publish("rooms/a", "of another epoch");
    await panel.says(/^Back again: messages may be missing here, the channel's history has begun anew$/);
    await panel.shows("of another epoch");
  });

  test("while a message was on its way says so of it, though another client has sent the same", async () => {
    const instance = await start();
    const proxy = await Proxy.start(instance.port);
    const console = await Console.open(`http://127.0.0.1:${proxy.port}`, "#rooms/a");
    const panel = console.panel("rooms/a");
    await panel.is("open");
    proxy.hold();
    await panel.send("dup");
    await instance.publish("rooms/a", "dup");
    proxy.cut();
    proxy.release();
    await panel.says(/^Back again: nothing is missing$/);
    await panel.shows("dup");
    await panel.says(/^Sent, but never confirmed, so perhaps heard by nobody: dup$/);
    expect(await panel.texts()).toEqual(["dup"]);
    expect(await panel.node.locator(".row.own").count()).toBe(0);
    proxy.stop();
  });

  test("to a server that hangs is given up, and the page says so", async () => {
    const server = await Server.start();
    const { page } = await Console.open(server.url, "#rooms/a");
    const panel = new Panel(page.getByRole("region", { name: "rooms/a" }));
    await panel.is("open");
    process.kill(server.pid, "SIGSTOP");
    // The browser fires this when its network changes; without it the page asks every five seconds.
    await page.evaluate("dispatchEvent(new Event('online'))");
    await page.getByText("the server does not answer").waitFor();
    await panel.says(/^The connection was lost\.$/);
    process.kill(server.pid, "SIGCONT");
    await panel.says(/^Back again: nothing is missing$/);
    await panel.is("open");
    await server.end("SIGKILL");
  });
});

describe("where tokens are asked for", () => {
  const env = { LOCKSTEP_JWT_SECRET: SECRET, LOCKSTEP_API_KEY: API_KEY };

  test("a console without one says what to do, and goes on with one that is typed in", async () => {
    const { url } = await start({ env });
    const console = await Console.open(url, "#rooms/a");
    const panel = console.panel("rooms/a");
    await panel.warns("This channel needs a token.");
    await panel.warns("lockstep token --sub alice --subscribe 'rooms/a' --publish 'rooms/a' --ttl 1h");
    await panel.node.getByRole("button", { name: "Enter a token" }).click();
    await console.enterToken(await tokenOf({ sub: "alice", subscribe: ["rooms/*"], publish: ["rooms/a"] }));
    await panel.is("open");
    await panel.send("hello");
    await panel.shows("hello");
    await panel.node.locator(".facts").getByText("alice").waitFor();
    await console.page.getByRole("button", { name: "Token of alice" }).waitFor();
    expect(console.asked.filter((address) => address.includes("token"))).toEqual([]);
    expect(console.page.url()).toBe(`${url}/#rooms/a`);
  });

  test("refuses what cannot be one, and keeps what is open; of one that is too long it says that", async () => {
    const { url } = await start({ env });
    const console = await Console.open(url, "#rooms/a");
    const panel = console.panel("rooms/a");
    await console.page.locator("#token-open").click();
    await console.enterToken(await tokenOf({ sub: "alice", subscribe: ["rooms/a"] }));
    await panel.is("open");
    await console.page.locator("#token-open").click();
    await console.enterToken("令牌");
    await console.page.getByText("This is no token: it has spaces").waitFor();
    expect(await console.page.locator("#token-dialog").isVisible()).toBe(true);
    await panel.is("open");
    expect((await panel.marks()).length).toBe(1);
    await console.enterToken("a".repeat(100_000));
    await panel.warns("The token is too long for the server.");
    await panel.is("closed");
  });

  test("says of another what is wrong with it", async () => {
    const { url } = await start({ env });
    const console = await Console.open(url, "#rooms/a");
    const panel = console.panel("rooms/a");
    const enter = async (token: string): Promise<void> => {
      await console.page.locator("#token-open").click();
      await console.enterToken(token);
    };
    await enter(await tokenOf({ sub: "alice", subscribe: ["**"] }, "another secret that is long enough for HS256"));
    await panel.warns("The token is not valid here");
    await enter(await tokenOf({ sub: "alice", subscribe: ["rooms/b"] }));
    await panel.warns("The token does not allow this channel.");
    await enter(API_KEY);
    await panel.warns("An API key is for backends");
    await enter(await tokenOf({ sub: "alice", subscribe: ["rooms/a"] }));
    await panel.is("open");
    await panel.send("not allowed");
    await panel.warns("You may not send here");
    expect(await panel.node.getByRole("textbox").inputValue()).toBe("not allowed");
    await panel.says(/^Sent, but never confirmed, so perhaps heard by nobody: not allowed$/);
    await enter(await tokenOf({ sub: "alice", subscribe: ["rooms/a"], publish: ["rooms/a"] }));
    await panel.is("open");
    await panel.send("allowed");
    await panel.shows("allowed");
    expect(await panel.texts()).toEqual(["allowed"]);
    const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" };
    await fetch(`${url}/disconnect`, { method: "POST", headers, body: JSON.stringify({ sub: "alice" }) });
    await panel.is("closed");
    expect((await panel.marks()).filter((mark) => mark.startsWith("Sent,")).length).toBe(1);
    expect(await panel.node.locator(".strip").getByText("nobody").count()).toBe(0);
    expect(await panel.node.getByRole("textbox").inputValue()).toBe("");
  });
});

describe("a reader", () => {
  test("may stop the page and let it go on; meanwhile nothing moves and nothing is lost", async () => {
    const instance = await start();
    const { page, panel } = await openRoom(instance);
    await instance.publish("rooms/a", "first");
    await panel.shows("first");
    await panel.node.getByRole("button", { name: "Pause" }).click();
    await instance.publish("rooms/a", "second");
    await panel.node.getByRole("button", { name: "1 new" }).waitFor();
    expect(await panel.texts()).toEqual(["first"]);
    await page.locator("#health").click();
    await page.keyboard.press("p");
    await panel.shows("second");
  });

  test("gets by with the keys alone", async () => {
    const { page, panel } = await openRoom(await start());
    await page.locator("#health").click();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.type("rooms/b");
    await page.keyboard.press("Enter");
    const second = new Panel(page.getByRole("region", { name: "rooms/b" }));
    await second.is("open");
    await page.keyboard.type("one");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await second.shows("one\ntwo");
    await page.keyboard.press("Escape");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    expect(await second.node.locator(".details pre").textContent()).toBe("one\ntwo");
    await page.keyboard.press("1");
    await page.keyboard.type("three");
    await page.keyboard.press("Enter");
    await panel.shows("three");
    await page.keyboard.press("Control+a");
    await page.keyboard.press("ArrowUp");
    expect(await panel.node.getByRole("textbox").inputValue()).toBe("three");
  });

  test("comes to the channels by the first link, which joins none", async () => {
    const { page, panel } = await openRoom(await start());
    await page.locator("#skip").focus();
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("panels");
    await panel.send("still the only one");
    await panel.shows("still the only one");
    expect(await page.getByRole("region").count()).toBe(1);
    expect(page.url()).toEndWith("/#rooms/a");
  });

  test("may have Chinese, by the browser's language or by the switch", async () => {
    const { url } = await start();
    const { page } = await Console.open(url, "#rooms/a", { locale: "zh-CN" });
    await page.getByText("服务器就绪").waitFor();
    expect(await page.locator("html").getAttribute("lang")).toBe("zh-CN");
    const panel = new Panel(page.getByRole("region", { name: "rooms/a" }));
    await panel.is("已连接");
    await page.getByRole("button", { name: "EN" }).click();
    await panel.is("open");
    await panel.says(/^Joined at position/);
    await page.reload();
    await panel.is("open");
    await page.getByRole("button", { name: "中文" }).click();
    await panel.is("已连接");
    await panel.says(/^已加入,位置/);
  });

  test("may have it light or dark, whatever the system has", async () => {
    const { url } = await start();
    const { page } = await Console.open(url, "", { colorScheme: "dark" });
    const paper = (): Promise<unknown> => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const dark = await paper();
    await page.getByRole("button", { name: "Colours: as the system" }).click();
    await page.getByRole("button", { name: "Colours: light" }).waitFor();
    expect(await paper()).not.toBe(dark);
    await page.getByRole("button", { name: "Colours: light" }).click();
    expect(await paper()).toBe(dark);
  });

  test("finds a name on everything that can be pressed or written into, and no word without its text", async () => {
    const { page } = await openRoom(await start());
    await page.keyboard.press("Escape");
    const nameless = `[...document.querySelectorAll("button, input, textarea, select, a, [role=log], dialog, section.panel")]
      .filter((node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length || node.getAttribute("aria-labelledby")))
      .map((node) => node.outerHTML)`;
    expect(await page.evaluate(nameless)).toEqual([]);
    const wordless = `[...document.querySelectorAll("[data-text]")].filter((node) => node.textContent === "").map((node) => node.outerHTML)`;
    expect(await page.evaluate(wordless)).toEqual([]);
    expect(await page.evaluate(`document.querySelector("[role=log]").ariaLive`)).toBe("off");
  });

  test("sees all of it on a phone, without scrolling sideways", async () => {
    const instance = await start();
    const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
    const { page } = await Console.open(instance.url, "#rooms/a&rooms/lobby-of-all", phone);
    await instance.publish("rooms/a", "x".repeat(3000));
    const panel = new Panel(page.getByRole("region", { name: "rooms/a" }));
    await waitFor("the message", async () => (await panel.texts()).length === 1);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
    for (const name of ["Join", "Token", "Close this channel"]) {
      const box = await page.getByRole("button", { name, exact: true }).first().boundingBox();
      expect((box?.x ?? 999) + (box?.width ?? 999)).toBeLessThanOrEqual(390);
    }
    // Chinese may be broken after any sign: the state would stand upright.
    await page.getByRole("button", { name: "中文" }).click();
    const lines = `[...document.querySelectorAll(".panel .state")].at(-1).getClientRects()[0].height / parseFloat(getComputedStyle(document.body).fontSize)`;
    expect(await page.evaluate<number>(lines)).toBeLessThan(2);
  });
});

describe("a page that is magnified to 400 %", () => {
  const options = { viewport: { width: 320, height: 256 } };
  /** Names of what can be pressed or written into, but in the messages, which scroll, and is cut off by the window or its panel. */
  const cut = `[...document.querySelectorAll("button, input, select, textarea, nav a")].filter((node) => {
    if (node.getClientRects().length === 0 || node.closest(".log") !== null) return false;
    const { left, right, top, bottom } = node.getBoundingClientRect();
    const around = node.closest(".panel")?.getBoundingClientRect() ?? { left: 0, right: innerWidth, top: -1e9, bottom: 1e9 };
    return left < Math.max(0, around.left) || right > Math.min(innerWidth, around.right) || top < around.top || bottom > around.bottom;
  }).map((node) => node.ariaLabel || node.textContent)`;

  test.each(["en-GB", "zh-CN"])("is laid out anew, without scrolling sideways, and nothing of it is cut (%s)", async (locale) => {
    const instance = await start();
    const { page } = await Console.open(instance.url, "#rooms/a&rooms/a-room-with-a-long-name&no/such/channel", { ...options, locale });
    const panel = new Panel(page.getByRole("region", { name: "rooms/a", exact: true }));
    await instance.publish("rooms/a", "x".repeat(3000));
    await waitFor("the message", async () => (await panel.texts()).length === 1);
    expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(320);
    expect(await page.evaluate<string[]>(cut)).toEqual([]);
    await panel.send("written there");
    await panel.shows("written there");
    await panel.node.scrollIntoViewIfNeeded();
    const isInLog = `(() => {
      const log = document.querySelector(".log").getBoundingClientRect();
      const row = [...document.querySelectorAll(".panel:first-child .row")].at(-1).getBoundingClientRect();
      return row.top >= log.top && row.bottom <= log.bottom;
    })()`;
    await waitFor("it to be in sight", async () => page.evaluate<boolean>(isInLog));
    expect(await panel.node.locator(".newer").isHidden()).toBe(true);
    expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(320);
  });
});

describe("many messages", () => {
  test("go when their channel is closed", async () => {
    const { page, panel } = await openRoom(await start());
    await panel.node.locator(".log").click();
    await page.evaluate(`globalThis.log = new WeakRef(document.querySelector(".log")); undefined`);
    await panel.node.getByRole("button", { name: "Close this channel" }).click();
    await waitFor("its memory to be free", async () => {
      await page.requestGC();
      return (await page.evaluate("log.deref() === undefined")) === true;
    });
  });

  test(
    "stay on the page up to its bound, which it names, and the newest are in sight",
    async () => {
      const { page, panel, sender } = await openBusyRoom();
      for (let count = 1; count <= 10_500; count += 1) sender.send(`message ${count}`);
      await newest(page, "message 10500");
      await panel.node.getByText("500 older messages are gone from it.").waitFor();
      expect(await panel.node.locator(".row").count()).toBe(10_000);
      expect(await panel.node.locator(".row .text").first().textContent()).toBe("message 501");
      await waitFor("the newest to be in sight", async () => (await page.evaluate(TO_THE_END)) === 0);
      // Of several lines each, as the page cannot know before it lays them out.
      for (let count = 1; count <= 300; count += 1) sender.send(`${count} `.padEnd(350, "long "));
      await newest(page, "300 long");
      await waitFor("the newest to be in sight", async () => (await page.evaluate(TO_THE_END)) === 0);
      await page.evaluate(`document.querySelector("[role=log]").scrollTop = 0`);
      await panel.node.getByRole("button", { name: "Paused" }).waitFor();
      sender.send("while held");
      await panel.node.getByRole("button", { name: "1 new" }).click();
      await newest(page, "while held");
      await waitFor("the newest to be in sight", async () => (await page.evaluate(TO_THE_END)) === 0);
      expect(await panel.node.locator(".newer").isHidden()).toBe(true);
    },
    3 * SLOW_MS,
  );

  test(
    "are followed though the page took their lines for much higher than they are",
    async () => {
      const { page, panel, sender } = await openBusyRoom();
      await page.evaluate(`document.styleSheets[0].insertRule(".block { contain-intrinsic-size: auto 9000px !important }", 0); undefined`);
      for (let count = 1; count <= 3000; count += 1) sender.send(`message ${count}`);
      await newest(page, "message 3000");
      expect(await panel.node.locator(".newer").isHidden()).toBe(true);
    },
    SLOW_MS,
  );

  test(
    "are followed to the last though the page took their lines for much lower than they are",
    async () => {
      const { page, sender } = await openBusyRoom();
      await page.evaluate(`document.styleSheets[0].insertRule(".block { contain-intrinsic-size: auto 100px !important }", 0); undefined`);
      for (const count of [99, 130, 250, 40]) {
        for (let index = 1; index <= count; index += 1) sender.send(`${index} of ${count}\n2\n3\n4`);
        await newest(page, `${count} of ${count}`);
        await waitFor("the newest to be in sight", async () => (await page.evaluate(TO_THE_END)) === 0);
      }
    },
    SLOW_MS,
  );

  test(
    "are not what a key is lost in: the reader has the page at once, and it goes on at the end",
    async () => {
      const { page, panel, sender } = await openBusyRoom();
      for (let count = 1; count <= 200; count += 1) sender.send(`message ${count}`);
      await newest(page, "message 200");
      const stream = setInterval(() => sender.send("more"), 12);
      const newer = panel.node.locator(".newer");
      await panel.node.locator(".log").focus();
      for (const key of ["Home", "PageUp", "ArrowUp", "Home"]) {
        await page.keyboard.press(key);
        await newer.waitFor();
        // Longer than the next pictures take, which would have torn it back.
        await Bun.sleep(300);
        expect(await newer.isVisible()).toBe(true);
        await page.keyboard.press("End");
        await newer.waitFor({ state: "hidden" });
      }
      // Before there is a picture of what the key before did.
      for (const pair of [
        ["End", "Home"],
        ["Home", "End", "PageUp"],
        ["Home", "End", "Home"],
        ["PageUp", "PageDown", "Home"],
        ["End", "ArrowUp"],
      ]) {
        await Promise.all(pair.map(async (key) => page.keyboard.press(key)));
        await Bun.sleep(300);
        expect(await newer.isVisible(), pair.join()).toBe(true);
        await page.keyboard.press("End");
        await newer.waitFor({ state: "hidden" });
      }
      clearInterval(stream);
      await panel.node.getByRole("button", { name: /^Pause/ }).click();
      await newer.waitFor();
      await panel.node.locator(".log").focus();
      await page.keyboard.press("End");
      await page.evaluate(
        `(() => { const log = document.querySelector("[role=log]"); log.scrollTop = 0; log.scrollTop = log.scrollHeight; })()`,
      );
      await Bun.sleep(300);
      expect(await newer.isVisible()).toBe(true);
    },
    SLOW_MS,
  );
});
