import type { DocumentDecoration } from "elysia";
import { faults, type FaultName } from "../../errors.ts";
import { problemBody } from "../problems.ts";

export type Responses = NonNullable<DocumentDecoration["responses"]>;
type Response = Exclude<Responses[string], { $ref: string }>;
export type Headers = NonNullable<Response["headers"]>;
type Header = Exclude<Headers[string], { $ref: string }>;
export type Parameter = NonNullable<DocumentDecoration["parameters"]>[number];

/** A route as the reference shows it: what it answers when all is well, and the faults that it answers with. */
export interface Described extends Omit<DocumentDecoration, "responses" | "hide"> {
  readonly operationId: string;
  readonly tags: [string];
  readonly summary: string;
  readonly answers: Responses;
  readonly refusals: readonly FaultName[];
}

/** What every route may answer. */
const EVERYWHERE: readonly FaultName[] = ["foreign-origin", "internal"];

/** The `detail` of a route. It says what the route does, and checks nothing. */
export function operation({ answers, refusals, ...detail }: Described): DocumentDecoration {
  return { ...detail, responses: { ...answers, ...refusalsOf([...refusals, ...EVERYWHERE]) } };
}

/** Where every answer of a status has a header, it says so. */
const HEADERS: Partial<Record<FaultName, Headers>> = {
  unauthorized: { "WWW-Authenticate": header("What is missing (RFC 6750)", 'Bearer realm="lockstep"') },
  forbidden: { "WWW-Authenticate": header("What is missing (RFC 6750)", 'Bearer realm="lockstep", error="insufficient_scope"') },
  "wrong-method": { Allow: header("The method that the route takes", "GET") },
  "upgrade-required": {
    Upgrade: header("What the route speaks", "websocket"),
    "Sec-WebSocket-Version": header("The version that the server speaks, where another was asked for", "13"),
  },
};

/** Headers that only some of the answers of a status have. */
const SOMETIMES: ReadonlySet<string> = new Set(["Sec-WebSocket-Version"]);

/** The answers to faults, by status, with each fault as an example. */
export function refusalsOf(names: readonly FaultName[]): Responses {
  const responses: Responses = {};
  for (const status of new Set(names.map((name) => faults[name].status))) {
    const alike = names.filter((name) => faults[name].status === status);
    const examples = alike.map((name) => [name, { summary: faults[name].title, value: problemBody(name, `${faults[name].title}.`) }]);
    responses[status] = {
      description: alike.map((name) => `\`${name}\`: ${faults[name].title}`).join("\n\n"),
      headers: headersOf(alike),
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" }, examples: Object.fromEntries(examples) } },
    };
  }
  return responses;
}

function headersOf(names: readonly FaultName[]): Headers {
  const of = names.map((name): Headers => {
    const { retryAfter } = faults[name];
    if (retryAfter === undefined) return HEADERS[name] ?? {};
    return { "Retry-After": header("After how many seconds the same request may succeed", String(retryAfter)) };
  });
  const headers: Headers = Object.assign({}, ...of);
  for (const [name, one] of Object.entries(headers)) {
    if (!("$ref" in one)) one.required = !SOMETIMES.has(name) && of.every((each) => name in each);
  }
  return headers;
}

/** A header of an answer; some answers of the status may lack it, unless it is required. */
export function header(description: string, example: string, more: { schema?: object; required?: boolean } = {}): Header {
  return { description, schema: { type: "string" }, example, ...more };
}
