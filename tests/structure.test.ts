import { expect, test } from "bun:test";
import { readSource, sources } from "./support/sources.ts";

// What keeps src easy to enter, as numbers.
const MAX_FILES = 130;
const MAX_LINES = 250;
const SMALL_LINES = 40;
const MAX_SMALL_FILES = 15;
const MAX_VAGUE_DOCSTRINGS = 19;

/** Words that have a name in the field: as a part of a type's name, each was a private vocabulary. */
const privateWords = [
  "Seat",
  "Lane",
  "Evidence",
  "Crowd",
  "Attendance",
  "House",
  "Guest",
  "Holder",
  "Caller",
  "Roster",
  "Allowance",
  "Stamp",
  "Brief",
];

/** Words that are of use within longer names, and too vague alone. */
const vagueNames: ReadonlySet<string> = new Set([
  "Connection",
  "LocalChannel",
  "Place",
  "Line",
  "Order",
  "Orders",
  "Load",
  "Mark",
  "Doubt",
  "Hold",
  "Blame",
  "Strand",
]);

const files = sources.filter((file) => file.startsWith("src/"));
const linesOf = (file: string): number => readSource(file).trimEnd().split("\n").length;

function matches(pattern: RegExp): string[] {
  return files.flatMap((file) => Array.from(readSource(file).matchAll(pattern), (match) => `${file}: ${match[1] ?? ""}`));
}

test(`src has ${MAX_FILES} files at most`, () => {
  expect(files.length).toBeLessThanOrEqual(MAX_FILES);
});

test(`no file of src is longer than ${MAX_LINES} lines`, () => {
  expect(files.filter((file) => linesOf(file) > MAX_LINES)).toEqual([]);
});

test(`${MAX_SMALL_FILES} files of src at most have fewer than ${SMALL_LINES} lines`, () => {
  const small = files.filter((file) => linesOf(file) < SMALL_LINES);
  expect(small.length > MAX_SMALL_FILES ? small : []).toEqual([]);
});

test("types have the field's names", () => {
  const names = matches(/^\s*(?:export )?(?:declare )?(?:abstract )?(?:type|class|interface|enum) (\w+)/gm);
  const isPrivate = (name: string): boolean =>
    vagueNames.has(name) || privateWords.some((word) => new RegExp(`(?:^|[a-z])${word}s?(?:$|[A-Z])`).test(name));
  expect(names.filter((line) => isPrivate(line.split(": ")[1] ?? ""))).toEqual([]);
});

test("docstrings begin with the thing", () => {
  const vague = matches(/\/\*\*\s*(?:\*\s+)?((?:What|Whether|How|Who|Those|Of|Where|Which)\b[^\n]*)/g);
  expect(vague.length > MAX_VAGUE_DOCSTRINGS ? vague : []).toEqual([]);
});
