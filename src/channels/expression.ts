import { RE2JS } from "re2js";

/** A test for one value of a path. */
export interface Expression {
  /** Matches the whole value, in time that grows linearly with its length. */
  test(value: string): boolean;
}

const INTEGER = "0|[1-9][0-9]{0,18}";

/**
 * Compiles `integer` or a regular expression. It runs on RE2's algorithm (https://github.com/google/re2/wiki/WhyRE2), because a
 * backtracking engine lets one chosen value block the server (CWE-1333).
 *
 * @throws Error for a source with a fault, see {@link expressionFault}
 */
export function compileExpression(source: string): Expression {
  const compiled = RE2JS.compile(RE2JS.translateRegExp(source === "integer" ? INTEGER : source));
  return { test: (value) => compiled.testExact(value) };
}

/** The allowed form, if a source cannot be compiled. */
export function expressionFault(source: string): string | undefined {
  try {
    compileExpression(source);
    return undefined;
  } catch {
    return '"integer" or a regular expression, without look-around and back-references';
  }
}
