import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { frame } from "../support/client.ts";
import { Server } from "../support/executable.ts";
import { Raw } from "../support/raw.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

const SLACK_BYTES = 50 * 2 ** 20;
const UPGRADE =
  "GET /ws/rooms/hostile HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const POST = "POST /publish/rooms/hostile HTTP/1.1\r\nHost: a\r\n";

/** What no decent client sends after its handshake. The server ends all but those of which it still waits for more. */
const broken: readonly { what: string; bytes: Buffer; waits?: true }[] = [
  { what: "a frame without mask", bytes: frame(1, "x", { masked: false }) },
  { what: "reserved bits", bytes: Buffer.from([0xf1, 0x80, 1, 2, 3, 4]) },
  { what: "an unknown opcode", bytes: Buffer.from([0x83, 0x80, 1, 2, 3, 4]) },
  { what: "an unknown control opcode", bytes: Buffer.from([0x8b, 0x80, 1, 2, 3, 4]) },
  { what: "a cut control frame", bytes: frame(9, "x", { fin: false }) },
  { what: "a ping of 126 bytes", bytes: frame(9, "x".repeat(126)) },
  { what: "a continuation of nothing", bytes: frame(0, "x") },
  { what: "a new message inside another", bytes: Buffer.concat([frame(1, "x", { fin: false }), frame(1, "y")]) },
  { what: "text that is no UTF-8", bytes: frame(1, Buffer.from([0xff, 0xfe])) },
  { what: "a close of one byte", bytes: frame(8, Buffer.from([3])) },
  { what: "a close with a code that nobody may send", bytes: frame(8, Buffer.from([0x03, 0xed])) },
  { what: "a length of 2^63", bytes: Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]) },
  { what: "a length of 1 GB", bytes: Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4]) },
  { what: "one byte more than a message may have", bytes: frame(2, Buffer.alloc(65_537)) },
  { what: "too much in fragments", bytes: Buffer.concat([frame(2, Buffer.alloc(40_000), { fin: false }), frame(0, Buffer.alloc(40_000))]) },
  { what: "noise", bytes: Buffer.from(Array.from({ length: 500 }, (_, index) => (index * 197) & 255)) },
  { what: "half a frame", bytes: frame(1, "x".repeat(60_000)).subarray(0, 30_000), waits: true },
  { what: "half a header", bytes: Buffer.from([0x81]), waits: true },
  { what: "a message that never ends", bytes: frame(1, "x".repeat(30_000), { fin: false }), waits: true },
];

describe("a server among broken clients", () => {
  let server: Server;
  let answers = 0;
  let failures = 0;
  let asking: ReturnType<typeof setInterval>;
  beforeAll(async () => {
    server = (await Server.start()).keep();
    asking = setInterval(() => void ask(), 50);
  });
  afterAll(async () => {
    clearInterval(asking);
    expect(await server.end()).toBe(0);
  });

  async function ask(): Promise<void> {
    const ok = await fetch(`${server.url}/livez`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ok) answers += 1;
    else failures += 1;
  }

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  }

  /** Lets rounds of clients come and go; when all are gone, the memory has to come back to about what the first round took. */
  async function rounds(count: number, round: () => Promise<void>): Promise<void> {
    await round();
    const warm = await metric("process_resident_memory_bytes");
    for (let index = 1; index < count; index += 1) await round();
    await waitFor("everybody to be gone", async () => (await metric("lockstep_connections")) === 0);
    await waitFor("the memory to be free again", async () => (await metric("process_resident_memory_bytes")) < warm + SLACK_BYTES);
  }

  test.each(broken)("ends who sends $what, if no more of it can come", async ({ bytes, waits }) => {
    const client = new Raw(server.port, UPGRADE);
    await waitFor("the handshake", () => client.heard.includes("101"));
    client.send(bytes);
    if (waits === undefined) await waitFor("the end", () => client.ended);
    client.destroy();
  });

  test("lives on, and its memory stays flat: 3,000 broken sockets", async () => {
    await rounds(6, async () => {
      const clients = Array.from({ length: 500 }, () => new Raw(server.port, UPGRADE));
      await waitFor("the handshakes", () => clients.every(({ heard }) => heard.includes("101")));
      for (const [index, client] of clients.entries()) client.send(broken[index % broken.length]?.bytes ?? "");
      const ending = clients.filter((_, index) => broken[index % broken.length]?.waits === undefined);
      await waitFor("the server to end them", () => ending.every(({ ended }) => ended));
      for (const client of clients) client.destroy();
    });
  });

  test("lives on, and its memory stays flat: 3,000 uploads that break off", async () => {
    const half = Buffer.alloc(30_000, "x");
    await rounds(6, async () => {
      const clients = Array.from({ length: 500 }, (_, index) => {
        const length = index % 2 === 0 ? "Content-Length: 60000\r\n\r\n" : "Transfer-Encoding: chunked\r\n\r\n7530\r\n";
        return new Raw(server.port, Buffer.concat([Buffer.from(POST + length), half]));
      });
      await whileNothingHappens(200);
      for (const client of clients) client.destroy();
    });
    const history: unknown = await (await fetch(`${server.url}/history/rooms/hostile`)).json();
    expect(JSON.stringify(history)).not.toContain("xxx");
  });

  test("lives on, and its memory stays flat: 60 who want a long history and read nothing of it", async () => {
    const body = "\u0001".repeat(65_536);
    for (let index = 0; index < 100; index += 1) await fetch(`${server.url}/publish/rooms/long`, { method: "POST", body });
    const before = await metric("process_resident_memory_bytes");
    const sockets = Array.from({ length: 60 }, () => connect(server.port, "127.0.0.1").pause());
    for (const socket of sockets) socket.write("GET /history/rooms/long HTTP/1.1\r\nHost: a\r\n\r\n");
    await whileNothingHappens(1500);
    // Each would be sent 39 MB.
    expect((await metric("process_resident_memory_bytes")) - before).toBeLessThan(60 * 8 * 2 ** 20);
    for (const socket of sockets) socket.destroy();
  });

  test("refuses headers and targets that are too long, and many of them cost nothing", async () => {
    await rounds(5, async () => {
      const clients = Array.from({ length: 200 }, (_, index) =>
        index % 2 === 0
          ? new Raw(server.port, `GET /livez HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(60_000)}\r\n\r\n`)
          : new Raw(server.port, `GET /ws/${"x".repeat(60_000)} HTTP/1.1\r\nHost: a\r\n\r\n`),
      );
      await waitFor("the refusals", () => clients.every(({ heard, ended }) => ended || /^HTTP\/1\.1 4\d\d /.test(heard)));
      for (const client of clients) client.destroy();
    });
  });

  test("refuses at once a body that says that it is too large", async () => {
    const client = new Raw(server.port, `${POST}Content-Length: 70000\r\n\r\n`);
    await waitFor("the refusal", () => client.heard.includes("413"));
    client.destroy();
  });

  test("cuts within 15 s who says nothing, half a header, or a byte now and then", async () => {
    const tries = [
      "",
      "GET /ws/ro",
      `${UPGRADE.slice(0, -2)}X: `,
      `${POST}Content-Length: 1000\r\n\r\n`,
      `${POST}Transfer-Encoding: chunked\r\n\r\n`,
    ];
    const silent = tries.flatMap((bytes) => Array.from({ length: 50 }, () => new Raw(server.port, bytes)));
    const slow = tries.flatMap((bytes) => Array.from({ length: 50 }, () => ({ bytes, raw: new Raw(server.port, bytes) })));
    const drops = setInterval(() => {
      for (const { bytes, raw } of slow) raw.send(bytes.includes("chunked") ? "1\r\na\r\n" : "a");
    }, 1000);
    await waitFor("all to be cut", () => silent.every(({ ended }) => ended) && slow.every(({ raw }) => raw.ended), 17_000);
    clearInterval(drops);
  });

  test("answered all the while", () => {
    expect(answers).toBeGreaterThan(0);
    expect(failures).toBe(0);
  });

  test("logs no more than so many lines about it, and how many it left out", async () => {
    expect((await fetch(`${server.url}/history/rooms/hostile?limit=0`)).status).toBe(400);
    const said = server.log.filter(({ msg }) => msg === "refused");
    expect(said.length).toBeLessThan(500);
    expect(said.some(({ unsaid }) => Number(unsaid) > 0)).toBe(true);
  });
});
