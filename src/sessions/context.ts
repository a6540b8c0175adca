import type { Policy } from "../access/policy.ts";
import type { Principal } from "../access/claims.ts";
import { faults, type ClosingFaultName } from "../errors.ts";
import type { Counts } from "../counts.ts";
import type { Hub } from "../hub/hub.ts";
import type { Log } from "../log.ts";
import type { Protocol } from "../protocols/protocol.ts";
import type { RefusalLog } from "./refusal-log.ts";
import type { Registry } from "./registry.ts";

/** They may change at any time. */
export interface SessionLimits {
  /** 0: no limit. */
  readonly messagesPerSecond: number;
  readonly slowConsumerBytes: number;
}

/** Everything that the sessions of an instance share. */
export interface SessionContext {
  readonly hub: Hub;
  readonly registry: Registry;
  /** The rules that hold now. */
  readonly policy: Policy;
  readonly limits: SessionLimits;
  readonly counts: Counts;
  readonly refusals: RefusalLog;
  readonly log: Log;
}

/** The client of a session, and how it speaks. */
export interface SessionOptions {
  /** Admitted by the registry; the session gives its place back when it ends. */
  readonly address: string;
  readonly principal: Principal;
  readonly protocol: Protocol;
}

const CLIENT_FAULTS: ReadonlySet<ClosingFaultName> = new Set(["forbidden", "binary-refused", "malformed-text", "too-fast", "slow-reader"]);

/** Counts and logs the end of a session by a fault, if that is the client's own. */
export function reportClientFault(
  { counts, refusals }: SessionContext,
  fault: ClosingFaultName,
  { address, subject, where }: { readonly address: string; readonly subject: string | null; readonly where: string },
): void {
  if (!CLIENT_FAULTS.has(fault)) return;
  counts.refuse(fault);
  refusals.note({ reason: fault, detail: faults[fault].title, subject, address, where });
}
