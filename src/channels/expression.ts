import type { checkSync } from "recheck";
import { RE2JS } from "re2js";

/** What a value has to be like. */
export interface Expression {
  /** Whether all of the value is so. The time that this takes grows with its length, and not faster. */
  test(value: string): boolean;
}

const INTEGER = "0|[1-9][0-9]{0,18}";
const CHECK_TIMEOUT_MS = 1000;

/**
 * Compiles `integer` or a regular expression. It runs on RE2's algorithm (https://github.com/google/re2/wiki/WhyRE2): one that goes
 * back and tries again could be kept busy for ever by a value that somebody chose for it, and with it the whole server.
 */
export function compileExpression(source: string): Expression {
  const compiled = compile(source);
  return { test: (value) => compiled.testExact(value) };
}

/**
 * What is allowed where a source cannot be used. That other engines would be kept busy by it for ever (catastrophic backtracking,
 * https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS) is a mistake as well: no one means `(a+)+`.
 */
export function expressionFault(source: string): string | undefined {
  if (source === "integer") return undefined;
  try {
    compile(source);
  } catch {
    return '"integer" or a regular expression, without look-around and back-references';
  }
  return isCatastrophic(source) ? "an expression without repetitions of repetitions, as in (a+)+" : undefined;
}

function compile(source: string): RE2JS {
  return RE2JS.compile(RE2JS.translateRegExp(source === "integer" ? INTEGER : source));
}

/** Looks for a value that would be tried in exponentially many ways. */
function isCatastrophic(source: string): boolean {
  // Loaded here: most configurations need none of its megabytes.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is required has no types
  const recheck = require("recheck/lib/browser.js") as { checkSync: typeof checkSync };
  const found = recheck.checkSync(`^(?:${source})$`, "u", { checker: "automaton", timeout: CHECK_TIMEOUT_MS });
  return found.status === "vulnerable" && found.complexity.type === "exponential";
}
