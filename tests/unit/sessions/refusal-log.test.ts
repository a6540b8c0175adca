import { expect, test } from "bun:test";
import { Log } from "../../../src/log.ts";
import { RefusalLog } from "../../../src/sessions/refusal-log.ts";

function recorder(format: "json" | "pretty" = "json"): { lines: string[]; refusals: RefusalLog } {
  const lines: string[] = [];
  return { lines, refusals: new RefusalLog(new Log("info", format, (line) => lines.push(line))) };
}

const refusal = { reason: "forbidden", detail: "why", subject: null, address: "1.2.3.4", where: "GET /ws/a" };

test("the log says once who was refused what, and why", () => {
  const { lines, refusals } = recorder();
  for (let index = 0; index < 5; index += 1) refusals.note(refusal);
  refusals.note({ ...refusal, subject: "ann" });
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ msg: "refused", reason: "forbidden", address: "1.2.3.4", where: "GET /ws/a", detail: "why" }),
    expect.objectContaining({ sub: "ann", unsaid: 4 }),
  ]);
});

test("strangers cannot fill the disk, nor the memory", () => {
  const { lines, refusals } = recorder();
  for (let index = 0; index < 10_000; index += 1)
    refusals.note({ ...refusal, subject: `${index}`.padEnd(5000, "x"), where: `${index}`.padEnd(5000, "y") });
  expect(lines.length).toBeLessThan(40);
  expect(lines.join("").length).toBeLessThan(40 * 600);
});

test("a subject cannot write lines of its own, or steer a terminal", () => {
  for (const format of ["json", "pretty"] as const) {
    const { lines, refusals } = recorder(format);
    refusals.note({ ...refusal, subject: 'x"\n{"level":"info"}\r\u{1b}[2J\u{9b}2J\u{7f}\u{2028}' });
    expect(lines.length).toBe(1);
    expect(lines[0]?.trimEnd()).not.toMatch(format === "pretty" ? /\p{Cc}/u : /[\n\r]/);
  }
});

test("a token in a path is not said", () => {
  const { lines, refusals } = recorder();
  for (const token of ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0."])
    refusals.note({ ...refusal, where: `GET /nope/${token}/x` });
  expect(lines.join("")).not.toContain("eyJ");
  expect(lines.join("")).toContain("/nope/(a token)/x");
});
