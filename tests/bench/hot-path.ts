/**
 * The hot path against a control: Lockstep's executable on its memory bus, and bare `Bun.serve` with its own topics, alternating
 * in one run. Prints CPU microseconds for each delivery (user and system, of the server's process alone) and the ratio of
 * the medians: a wall clock says little on a noisy machine.
 *
 *   bun run bench [--rounds N] [--seconds N]
 */
import { parseArgs } from "node:util";
import { measure, median, MESSAGE_BYTES, targets, workloads, type Result } from "./measure.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" } } });
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
if (!(rounds >= 1 && seconds > 0)) {
  process.stderr.write("bench: --rounds and --seconds take numbers above 0\n");
  process.exit(2);
}
process.stdout.write(`${MESSAGE_BYTES}-byte texts, ${rounds} rounds of ${seconds} s, medians; messages_per_second = 0\n`);
const both = await targets();
for (const workload of workloads) {
  const results = new Map<string, Result[]>(both.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const target of both) results.get(target.name)?.push(await measure(target, workload, seconds));
  }
  process.stdout.write(`\n${workload.name}\n`);
  const cpus = new Map<string, number>();
  for (const [name, list] of results) {
    const cpu = median(list.map((result) => result.cpu));
    cpus.set(name, cpu);
    const lost = list.reduce((sum, result) => sum + result.lost, 0);
    const rate = Math.round(median(list.map(({ perSecond }) => perSecond)));
    process.stdout.write(
      `  ${name.padEnd(9)} lost ${lost}  ${String(rate).padStart(8)} deliveries/s  ${cpu.toFixed(2).padStart(6)} us CPU each\n`,
    );
  }
  process.stdout.write(`  ratio     ${((cpus.get("lockstep") ?? 0) / (cpus.get("control") ?? 1)).toFixed(2)} times the control's CPU\n`);
}
