import { faults, type ClosingFaultName } from "../errors.ts";
import { subjectOf } from "../access/principal.ts";
import type { ClientHouse } from "./connection.ts";
import type { Guest } from "./registry.ts";

/** What ends a client by its own fault. */
const BLAMED: ReadonlySet<ClosingFaultName> = new Set(["forbidden", "binary-refused", "malformed-text", "too-fast", "slow-reader"]);

/** A client is being closed: where that is its own fault, it is counted, and said in the log. */
export function blame(
  { counts, refusals }: ClientHouse,
  { address, principal }: Guest,
  fault: ClosingFaultName,
  channel = "no channel",
): void {
  if (!BLAMED.has(fault)) return;
  counts.refuse(fault);
  refusals.note({ reason: fault, detail: faults[fault].title, subject: subjectOf(principal), address, where: channel });
}
