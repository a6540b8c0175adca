import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SubscriberLedger } from "../bench/ledger.ts";
import { executable } from "../support/executable.ts";
import { waitFor } from "../support/wait.ts";

const folder = mkdtempSync(join(tmpdir(), "lockstep-bench-test-"));
const main = join(import.meta.dir, "../bench/main.ts");
/** Stands in the place of Lockstep's executable. */
const faulty = join(folder, "faulty");
/** As little of the system as the bench can run with. */
const bare = join(folder, "bin");

beforeAll(() => {
  writeFileSync(faulty, `#!/bin/sh\nexec "${process.execPath}" "${join(import.meta.dir, "../support/faulty-server.ts")}"\n`);
  chmodSync(faulty, 0o755);
  mkdirSync(bare);
  symlinkSync(Bun.which("sh") ?? "/bin/sh", join(bare, "sh"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function start(words: readonly string[], env: Record<string, string> = {}) {
  return Bun.spawn([process.execPath, main, ...words], { env: { ...process.env, ...env }, stdout: "pipe", stderr: "pipe" });
}

async function bench(words: readonly string[], env: Record<string, string> = {}) {
  const child = start(words, env);
  const [out, errors, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { out, errors, code };
}

const quick = ["--rounds", "1", "--seconds", "0.2", "--workload", "burst"];

/** The row of a server in the first table that has one. */
function rowOf(out: string, server: string): string {
  return out.split("\n").find((line) => line.startsWith(`| ${server} `)) ?? "";
}

test("a run prints its faults before its figures, and says the same in JSON and as a picture", async () => {
  const [json, svg] = [join(folder, "bench.json"), join(folder, "bench.svg")];
  const words = [...quick, "--executable", await executable(), "--server", "lockstep", "--server", "bun", "--json", json, "--svg", svg];
  const { out, errors, code } = await bench(words);
  expect([code, errors]).toEqual([0, "round 1 of 1: burst on lockstep\nround 1 of 1: burst on bun\n"]);
  expect(out).toContain(`bun run bench ${words.join(" ")}`);
  expect(out).toContain("messages_per_second = 0");
  expect(out.indexOf("Nothing was lost, doubled or reordered")).toBeLessThan(out.indexOf("| lockstep "));
  expect(rowOf(out, "lockstep")).toMatch(/rate ×\d+\.\d\d, CPU ×\d+\.\d\d of bun/);
  const { results, machine } = JSON.parse(readFileSync(json, "utf8"));
  expect(machine.cores).toBeGreaterThan(0);
  expect(results.map(({ server }: { server: string }) => server)).toEqual(["lockstep", "bun"]);
  for (const { median, faults } of results) {
    expect(median.deliveriesPerSecond).toBeGreaterThan(1000);
    expect(median.p50Us).toBeGreaterThan(0);
    expect(median.p99Us).toBeGreaterThanOrEqual(median.p50Us);
    expect(Object.values(faults)).toEqual([0, 0, 0, 0, 0]);
  }
  const drawn = readFileSync(svg, "utf8");
  const opened = [...drawn.matchAll(/<(\w+)[^>]*[^/]>|<(\w+)>/g)].length;
  expect(opened).toBe([...drawn.matchAll(/<\/\w+>/g)].length);
  expect(drawn).toContain('<svg xmlns="http://www.w3.org/2000/svg"');
  expect(drawn).toContain(">lockstep</text>");
});

test("the servers from npm, each in its own protocol, get and give everything", async () => {
  const { out, code } = await bench([...quick, "--server", "ws", "--server", "socket.io"]);
  expect(code).toBe(0);
  expect(out).toContain("Nothing was lost, doubled or reordered");
  expect(rowOf(out, "ws")).toMatch(/\d/);
  expect(rowOf(out, "socket.io")).toMatch(/\d/);
});

test("a sweep has a line for each step", async () => {
  const json = join(folder, "scale.json");
  const { out, code } = await bench(["--scale", "size", "--server", "bun", "--seconds", "0.1", "--json", json]);
  expect(code).toBe(0);
  for (const step of ["16", "128", "1,024", "8,192", "65,536"]) expect(out).toMatch(new RegExp(`^\\| ${step} +\\| +[1-9]`, "m"));
  expect(JSON.parse(readFileSync(json, "utf8")).results).toHaveLength(5);
});

test("what a server loses, doubles and swaps is reported, to the message", async () => {
  const [json, file] = [join(folder, "faults.json"), join(folder, "faults")];
  const words = [...quick, "--executable", faulty, "--server", "lockstep", "--json", json];
  const { out, code } = await bench(words, { FAULTY_FILE: file });
  expect(code).toBe(1);
  const { lost, doubled, reordered } = JSON.parse(readFileSync(file, "utf8"));
  expect(Math.min(lost, doubled, reordered)).toBeGreaterThan(0);
  expect(JSON.parse(readFileSync(json, "utf8")).results[0].faults).toEqual({ lost, doubled, reordered, strange: 0, closed: 0 });
  const loud = out.indexOf("!!! lockstep, burst, round 1: ");
  expect(loud).toBeGreaterThan(0);
  expect(loud).toBeLessThan(out.indexOf("| lockstep "));
});

test("a server that dies is one row, and the others' come", async () => {
  const words = [...quick, "--executable", faulty, "--server", "lockstep", "--server", "bun"];
  const { out, errors, code } = await bench(words, { FAULTY_LIFE: "500" });
  expect(code).toBe(1);
  expect(rowOf(out, "lockstep")).toContain("round 1: the server died (exit code 3: out of luck)");
  expect(rowOf(out, "bun")).toMatch(/\d/);
  expect(errors.split("\n").filter((line) => line.includes("out of luck"))).toHaveLength(1);
});

test("what is not on the machine is one line, and the rest is measured without it", async () => {
  const words = [...quick, "--server", "bun", "--server", "ws", "--server", "bun-redis"];
  const { out, code } = await bench(words, { PATH: bare });
  expect(code).toBe(0);
  expect(out).toContain("\nws is left out: there is no redis-server and no node in PATH\n");
  expect(out).toContain("\nbun-redis is left out: there is no redis-server in PATH\n");
  expect(out).toContain("no process is pinned");
  expect(rowOf(out, "bun")).toMatch(/\d/);
});

test.each([
  [["--server", "nobody"], "--server takes one of lockstep, bun,"],
  [["--workload", "none"], "--workload takes one of fan-out,"],
  [["--rounds", "0"], "--rounds takes a whole number from 1 to 100"],
  [["--seconds", "soon"], "--seconds takes a number from 0.1 to 600"],
  [["--scale", "up"], "--scale takes one of channels, subscribers, size, instances"],
  [["--scale", "instances", "--server", "lockstep"], "--scale instances takes servers that meet on Redis"],
  [["--json", "/no/such/folder/bench.json"], "--json takes a file that can be written"],
  [["--fast"], "the flags are --server,"],
])("%j is refused in one line, before anything runs", async (words, line) => {
  const { out, errors, code } = await bench(words);
  expect([code, out]).toEqual([2, ""]);
  expect(errors).toContain(line);
  expect(errors.trim().split("\n")).toHaveLength(1);
});

test("an interrupted run leaves no server and no file behind", async () => {
  const file = join(folder, "interrupted");
  const place = join(folder, "tmp");
  mkdirSync(place);
  const child = start(["--executable", faulty, "--server", "lockstep", "--workload", "burst", "--seconds", "60"], {
    FAULTY_FILE: file,
    TMPDIR: place,
  });
  await waitFor("the server to start", () => existsSync(file) && readFileSync(file, "utf8") !== "");
  const { pid } = JSON.parse(readFileSync(file, "utf8"));
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect(readdirSync(place)).toEqual([]);
});

test("a subscriber's account tells losses, doubles and late ones apart", () => {
  const ledger = new SubscriberLedger();
  const fresh = [1, 2, 5, 4, 4, 5, 6, 9].filter((sequence) => ledger.take(sequence, 8));
  expect(fresh).toEqual([1, 2, 5, 4, 6]);
  expect([ledger.lost(8), ledger.doubled, ledger.reordered, ledger.strange]).toEqual([3, 2, 1, 1]);
});
