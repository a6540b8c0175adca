import { medians, ratios, type FigureName, type Ratios } from "./figures.ts";
import { faultNames, type Faults } from "./plan.ts";
import type { Result } from "./results.ts";
import type { Sweep } from "./scale.ts";
import type { Workload } from "./workloads.ts";

interface Column {
  readonly title: string;
  readonly figure: FigureName;
  readonly show: (value: number) => string;
}

const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
const fixed = (digits: number) => (value: number) => value.toFixed(digits);
const mega = (value: number): string => (value / 1e6).toFixed(0);
const percent = (value: number): string => `${(value * 100).toFixed(0)} %`;
const milli = (value: number): string => (value / 1000).toFixed(value < 1000 ? 3 : value < 10_000 ? 2 : 1);

const traffic: readonly Column[] = [
  { title: "deliveries/s", figure: "deliveriesPerSecond", show: whole },
  { title: "server CPU µs/delivery", figure: "serverUsPerDelivery", show: fixed(2) },
  { title: "Redis CPU µs/message", figure: "redisUsPerMessage", show: fixed(2) },
  { title: "p50 ms", figure: "p50Us", show: milli },
  { title: "p99 ms", figure: "p99Us", show: milli },
  { title: "memory MB", figure: "serverBytes", show: mega },
  { title: "load's core busy", figure: "loadBusy", show: percent },
];

const standing: readonly Column[] = [
  { title: "bytes/connection", figure: "bytesPerConnection", show: whole },
  { title: "memory MB", figure: "serverBytes", show: mega },
  { title: "server CPU while idle", figure: "serverBusy", show: (value) => `${(value * 100).toFixed(2)} %` },
];

const sweeping: readonly Column[] = [...traffic.slice(0, 6), { title: "bytes/connection", figure: "bytesPerConnection", show: whole }];

/** What is compared with the control, and under which name. */
const compared: Readonly<Record<Workload["shows"], readonly (readonly [FigureName, string])[]>> = {
  deliveries: [
    ["deliveriesPerSecond", "rate"],
    ["serverUsPerDelivery", "CPU"],
  ],
  latency: [
    ["p50Us", "p50"],
    ["serverUsPerDelivery", "CPU"],
  ],
  memory: [["bytesPerConnection", "bytes"]],
};

/** One table for each workload, in Markdown. */
export function tables(results: readonly Result[]): string {
  return [...Map.groupBy(results, ({ workload }) => workload)].map(([workload, rows]) => tableOf(workload, rows)).join("\n");
}

function tableOf(workload: Workload, rows: readonly Result[]): string {
  const columns = workload.shows === "memory" ? standing : traffic;
  const head = ["server", ...columns.map(({ title }) => title), "against the control"];
  const lines = rows.map((row) => {
    const { name } = row.server;
    if (row.figures.length === 0) return [name, ...columns.map(() => "–"), row.failure ?? ""];
    const middle = medians(row.figures);
    const cells = columns.map(({ figure, show }) => cell(middle[figure], show));
    return [name, ...cells, row.failure === undefined ? comparison(row, rows) : row.failure];
  });
  return `${workload.title}\n\n${table([head, ...lines])}`;
}

/** One table for a sweep: a line for each of its steps and each server. */
export function sweepTable({ name, title }: Sweep, results: readonly Result[]): string {
  const head = [name, ...sweeping.map((column) => column.title), "server"];
  const lines = results.map(({ workload, server, figures, failure }) => {
    const middle = medians(figures);
    const cells = sweeping.map(({ figure, show }) => cell(middle[figure], show));
    return [workload.title, ...cells, failure === undefined ? server.name : `${server.name}: ${failure}`];
  });
  return `${title}\n\n${table([head, ...lines])}`;
}

function cell(value: number | null, show: (value: number) => string): string {
  return value === null ? "–" : show(value);
}

function comparison(row: Result, rows: readonly Result[]): string {
  const found = ratiosOf(row, rows);
  const parts = compared[row.workload.shows].flatMap(([figure, name]) => {
    const ratio = found[figure];
    return ratio === undefined ? [] : `${name} ×${ratio.toFixed(2)}`;
  });
  return parts.length === 0 ? "" : `${parts.join(", ")} of ${row.server.control ?? ""}`;
}

/** What a server's figures are, divided by its control's under the same workload. */
export function ratiosOf(row: Result, rows: readonly Result[]): Ratios {
  const control = rows.find(({ server, workload }) => server.name === row.server.control && workload === row.workload);
  return control === undefined ? {} : ratios(row.figures, control.figures);
}

/** Rows of one width; the first is the head, and the first and last columns stand to the left. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const last = widths.length - 1;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const padded = rows.map((row) =>
    line(
      widths.map((width, column) =>
        column === 0 || column === last ? (row[column] ?? "").padEnd(width) : (row[column] ?? "").padStart(width),
      ),
    ),
  );
  const rule = line(widths.map((width, column) => (column === 0 || column === last ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)));
  return [padded[0] ?? "", rule, ...padded.slice(1)].map((text) => `${text}\n`).join("");
}

/** What must not have happened, before any figure: one line for each run in which it did. */
export function faultLines(results: readonly Result[]): string[] {
  const lines = results.flatMap(({ server, workload, measured }) =>
    measured.flatMap(({ faults }, round) => {
      const found = describeFaults(faults);
      return found === "" ? [] : `!!! ${server.name}, ${workload.name}, round ${round + 1}: ${found}`;
    }),
  );
  const deliveries = results.reduce((sum, { measured }) => sum + measured.reduce((part, one) => part + one.deliveries, 0), 0);
  const of = `of ${whole(deliveries)} measured deliveries and those before and after them`;
  return lines.length === 0
    ? [`Nothing was lost, doubled or reordered, ${of}.`]
    : [`!!! NOT EVERYTHING CAME AS IT SHOULD, ${of}:`, ...lines];
}

/** Shares of a core. */
const BUSY = { load: 0.95, others: 0.15 };

/** What the figures should not be taken for. */
export function warnings(results: readonly Result[]): string[] {
  const all = results.flatMap(({ server, workload, figures }) => figures.map((one, round) => ({ server, workload, round, ...one })));
  const lines = [];
  const bound = new Set(all.filter(({ loadBusy }) => (loadBusy ?? 0) > BUSY.load).map(({ server }) => server.name));
  if (bound.size > 0)
    lines.push(
      `Where the load's core is full (${[...bound].join(", ")}) a rate is what the load can take, and a latency its queue; the CPU of the server is its own.`,
    );
  const disturbed = all.filter(({ othersBusy }) => (othersBusy ?? 0) > BUSY.others);
  const worst = disturbed.toSorted((a, b) => (b.othersBusy ?? 0) - (a.othersBusy ?? 0))[0];
  if (worst !== undefined)
    lines.push(
      `The machine was not quiet: other processes took more than ${percent(BUSY.others)} of a core in ${disturbed.length} of ${all.length} measurements, ${percent(worst.othersBusy ?? 0)} at most (${worst.workload.name} on ${worst.server.name}, round ${worst.round + 1}).`,
    );
  return lines;
}

export function describeFaults(faults: Faults): string {
  return faultNames.flatMap((name) => (faults[name] === 0 ? [] : `${whole(faults[name])} ${name}`)).join(", ");
}
