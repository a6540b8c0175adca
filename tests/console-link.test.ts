import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { Link, type State } from "../console/net/link.ts";
import { Server } from "../console/net/server.ts";
import { Instance } from "./support/instance.ts";
import { waitFor } from "./support/wait.ts";

setDefaultTimeout(20_000);

const ends: (() => unknown)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A server that refuses upgrades as draining, so many, and after that lets each stay so long and closes it with 1013. */
function start(refusals: number, stayMs: number): { url: string; opened: () => number } {
  let left = refusals;
  let opened = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, self) {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/history/")) return Response.json({ type: "urn:lockstep:problem:no-history" }, { status: 404 });
      if (request.headers.get("upgrade") === null) return Response.json({ type: "urn:lockstep:problem:draining" }, { status: 503 });
      left -= 1;
      if (left >= 0 || !self.upgrade(request)) return new Response(null, { status: 503 });
      return undefined;
    },
    websocket: {
      open(socket) {
        opened += 1;
        setTimeout(() => socket.close(1013), stayMs);
      },
      message() {},
    },
  });
  ends.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}/`, opened: () => opened };
}

function watch(url: string): { link: Link; waits: number[] } {
  const waits: number[] = [];
  const changed = (state: State): void => {
    if (state.at === "waiting") waits.push(state.dueMs - Date.now());
  };
  const link = new Link("rooms/a", 0, new Server(url), { changed, began() {}, received() {} });
  ends.push(() => link.leave());
  link.connect();
  return { link, waits };
}

test("a connection that was open for a second is a good one: after it the first return is at once", async () => {
  const { url } = start(3, 1100);
  const { waits } = watch(url);
  await waitFor("the close", () => waits.length === 4);
  expect(waits[2]).toBeGreaterThan(450);
  expect(waits[3]).toBeLessThanOrEqual(250);
});

test("connections that end as soon as they are open are waited for longer and longer", async () => {
  const { url } = start(0, 0);
  const { waits } = watch(url);
  await waitFor("four closes", () => waits.length === 4);
  expect(waits[3]).toBeGreaterThan(950);
});

test("a channel that begins or ends to keep history is asked again, and shown as what it is", async () => {
  const plain = '[[channels]]\npath = "rooms/{room}"\n';
  const kept = `${plain}history = { size = 10, ttl = "1m" }\n`;
  const instance = await Instance.start({ toml: plain });
  ends.push(() => instance.stop());
  const came: [string, string | null][] = [];
  const began: (string | null)[] = [];
  const link = new Link("rooms/a", 0, new Server(`${instance.url}/`), {
    changed() {},
    began: ({ position }) => began.push(position),
    received: (data, position) => came.push([typeof data === "string" ? data : "", position]),
  });
  ends.push(() => link.leave());
  link.connect();
  await waitFor("the connection", () => began.length === 1);
  for (const [toml, text] of [
    [kept, "kept"],
    [plain, "plain"],
    [kept, "kept again"],
  ] as const) {
    const before = began.length;
    instance.reload({ toml });
    await waitFor("its return", () => began.length === before + 1);
    expect(link.history).toBe(toml === kept);
    await instance.publish("rooms/a", text);
    await waitFor("the message", () => came.at(-1)?.[0] === text);
  }
  expect(came.map(([, position]) => position?.replace(/^.+-/, "") ?? null)).toEqual(["1", null, "2"]);
  expect(link.position).toBe(came[2]?.[1] ?? "");
});

test("who waits is let try at once when the server is well again", async () => {
  const { url, opened } = start(5, 60_000);
  const { link, waits } = watch(url);
  await waitFor("five refusals", () => waits.length === 5);
  expect(waits[4]).toBeGreaterThan(1950);
  link.hurry();
  expect(waits[5]).toBeLessThanOrEqual(250);
  await waitFor("the connection", () => opened() === 1);
  link.hurry();
  expect(link.state.at).toBe("open");
});
