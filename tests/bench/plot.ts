import { medians, type FigureName } from "./figures.ts";
import type { Result } from "./results.ts";
import type { Workload } from "./workloads.ts";

/** All in the drawing's own units, which are pixels where it is not scaled. */
const WIDTH = 820;
const GAP = 24;
const PANEL_WIDTH = (WIDTH - GAP) / 2;
const TITLE_HEIGHT = 40;
const ROW_HEIGHT = 17;
const LABEL_WIDTH = 108;
const VALUE_WIDTH = 58;
const BAR_WIDTH = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;

/** What a panel draws, by what its workload shows: the shorter the bar, the better. */
const drawn: Readonly<Record<Workload["shows"], { figure: FigureName; unit: string; show: (value: number) => string }>> = {
  deliveries: {
    figure: "serverUsPerDelivery",
    unit: "server CPU, µs for each delivery",
    show: (value) => value.toFixed(value < 10 ? 2 : 1),
  },
  latency: { figure: "p50Us", unit: "median latency, ms", show: (value) => (value / 1000).toFixed(2) },
  memory: { figure: "bytesPerConnection", unit: "memory, kB for each connection", show: (value) => (value / 1000).toFixed(1) },
};

/** Greys that can be read on white and on black, and better ones where what shows it says which it is. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #7d8590; }
  .title { font-weight: 600; }
  .bar { fill: #9ba3ad; }
  .ours { fill: #2f81f7; }
  @media (prefers-color-scheme: light) { text { fill: #57606a; } .title { fill: #24292f; } .bar { fill: #afb8c1; } }
  @media (prefers-color-scheme: dark) { text { fill: #9198a1; } .title { fill: #e6edf3; } .bar { fill: #545d68; } }`;

/** One panel of bars for each workload, two beside each other, as an SVG that needs nothing else. */
export function plot(results: readonly Result[]): string {
  const panels = [...Map.groupBy(results, ({ workload }) => workload)];
  const panelHeight = TITLE_HEIGHT + ROW_HEIGHT * Math.max(...panels.map(([, rows]) => rows.length)) + GAP;
  const height = panelHeight * Math.ceil(panels.length / 2) - GAP;
  const bodies = panels.map(([workload, rows], index) => {
    const at = `translate(${(index % 2) * (PANEL_WIDTH + GAP)} ${Math.floor(index / 2) * panelHeight})`;
    return `<g transform="${at}">${panel(workload, rows)}</g>`;
  });
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`;
  return `${head}\n<title>Lockstep beside other servers</title>\n<style>${STYLE}\n</style>\n${bodies.join("\n")}\n</svg>\n`;
}

function panel(workload: Workload, rows: readonly Result[]): string {
  const { figure, unit, show } = drawn[workload.shows];
  const values = rows.map((row) => medians(row.figures)[figure]);
  const most = Math.max(...values.map((value) => value ?? 0), Number.MIN_VALUE);
  const bars = rows.map(({ server }, index) => {
    const value = values[index] ?? null;
    const y = TITLE_HEIGHT + index * ROW_HEIGHT;
    const middle = y + ROW_HEIGHT / 2 + 4;
    const width = value === null ? 0 : Math.max(1, (value / most) * BAR_WIDTH);
    const kind = server.name.startsWith("lockstep") ? "bar ours" : "bar";
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${middle}" text-anchor="end">${escaped(server.name)}</text>`,
      `<rect class="${kind}" x="${LABEL_WIDTH}" y="${y + 2}" width="${width.toFixed(1)}" height="${ROW_HEIGHT - 4}" rx="2"/>`,
      `<text x="${(LABEL_WIDTH + width + 6).toFixed(1)}" y="${middle}">${value === null ? "failed" : show(value)}</text>`,
    ].join("");
  });
  const titles = `<text class="title" x="0" y="14">${escaped(workload.title)}</text><text x="0" y="30">${unit}</text>`;
  return `${titles}\n${bars.join("\n")}\n`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
