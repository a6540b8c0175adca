import type { checkSync, Diagnostics } from "recheck";

const INTEGER = "0|[1-9][0-9]{0,18}";
/** Milliseconds; what is not decided by then is refused. */
const CHECK_TIMEOUT_MS = 3000;
/** A value has at most 255 bytes: to try every pair of places in it takes microseconds, every three of them milliseconds. */
const MAX_DEGREE = 2;

/** Compiles `integer` or a regular expression, to match all of a value. */
export function compileExpression(source: string): RegExp {
  return new RegExp(anchored(source), "u");
}

/**
 * What is allowed where a source cannot be used: because it is no expression, or because there are values that it would be
 * tried on for too long (catastrophic backtracking, https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS).
 * That is found by analysis, and by trying hostile values.
 */
export function expressionFault(source: string): string | undefined {
  if (source === "integer") return undefined;
  try {
    // Alone first: a stray ")" would close the group that anchors it.
    if ([new RegExp(source, "u"), compileExpression(source)].length === 0) return "";
  } catch {
    return '"integer" or a regular expression';
  }
  return isQuick(diagnose(anchored(source)))
    ? undefined
    : "an expression that no value keeps busy: without nested repetitions, as in (a+)+";
}

function anchored(source: string): string {
  return `^(?:${source === "integer" ? INTEGER : source})$`;
}

function diagnose(source: string): Diagnostics {
  // Loaded here: most configurations need none of its megabytes.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is required has no types
  const checker = require("recheck/lib/browser.js") as { checkSync: typeof checkSync };
  return checker.checkSync(source, "u", { timeout: CHECK_TIMEOUT_MS });
}

function isQuick(found: Diagnostics): boolean {
  if (found.status !== "vulnerable") return found.status === "safe";
  return found.complexity.type === "polynomial" && found.complexity.degree <= MAX_DEGREE;
}
