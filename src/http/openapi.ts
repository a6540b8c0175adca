import manifest from "../../package.json" with { type: "json" };
import { builtinKinds } from "../channels/builtin.ts";
import { closings, faults, type FaultName } from "../errors.ts";
import type { Instance } from "./context.ts";
import { etagOf, isKnown } from "./request/body.ts";
import written from "./openapi.yaml";
import { problemBody } from "./problems.ts";

/** Faults that every route may answer with. */
const EVERYWHERE = ["foreign-origin", "internal"];

interface Header {
  readonly description: string;
  readonly example: string;
  /** True if only some answers with the fault have the header. */
  readonly sometimes?: boolean;
}

/** Headers that the answer to a fault has. */
const HEADERS: Partial<Record<FaultName, Readonly<Record<string, Header>>>> = {
  unauthorized: { "WWW-Authenticate": { description: "What is missing (RFC 6750)", example: 'Bearer realm="lockstep"' } },
  forbidden: {
    "WWW-Authenticate": { description: "What is missing (RFC 6750)", example: 'Bearer realm="lockstep", error="insufficient_scope"' },
  },
  "wrong-method": { Allow: { description: "The methods that the route takes", example: "GET" } },
  "upgrade-required": {
    Upgrade: { description: "The protocol of the route", example: "websocket" },
    "Sec-WebSocket-Version": {
      description: "The version that the server speaks, if you asked for another",
      example: "13",
      sometimes: true,
    },
  },
};

const json = JSON.stringify(openapiDocument());
const etag = etagOf(json);

/** `GET /openapi/json`: the reference of all routes. It needs no token. */
export function getReference({ rules: { origins } }: Instance, { headers }: Request): Response {
  origins.require(headers);
  const answer = { ...origins.corsHeaders(headers), etag, "cache-control": "no-cache" };
  if (isKnown(headers, etag)) return new Response(null, { status: 304, headers: answer });
  return new Response(json, { headers: { ...answer, "content-type": "application/json" } });
}

/**
 * Returns the document beside this file (https://spec.openapis.org/oas/v3.0.3), completed from the tables in the code, so that they cannot
 * differ.
 *
 * @throws Error if the document names a fault that does not exist
 */
function openapiDocument(): object {
  const { info, paths, components, ...rest } = requireObject(JSON.parse(fillTables(JSON.stringify(written))));
  const shared = requireObject(components);
  return {
    ...rest,
    info: { ...requireObject(info), version: manifest.version, license: { name: manifest.license } },
    paths: mapValues(requireObject(paths), (item) => mapValues(requireObject(item), describeFaults)),
    components: { ...shared, responses: mapValues(requireObject(shared["responses"]), faultResponse) },
  };
}

function describeFaults(operation: unknown): object {
  const { "x-faults": own, responses, ...rest } = requireObject(operation);
  return { ...rest, responses: { ...requireObject(responses), ...faultResponses([...requireFaults(own), ...requireFaults(EVERYWHERE)]) } };
}

function faultResponse(component: unknown): unknown {
  return Object.values(faultResponses(requireFaults(requireObject(component)["x-faults"])))[0];
}

/** Returns the answers to faults by status, with each fault as an example. */
function faultResponses(names: readonly FaultName[]): Record<string, unknown> {
  const responses: Record<string, unknown> = {};
  for (const status of new Set(names.map((name) => faults[name].status))) {
    const alike = names.filter((name) => faults[name].status === status);
    const examples = alike.map((name) => [name, { summary: faults[name].title, value: problemBody(name, `${faults[name].title}.`) }]);
    responses[status] = {
      description: alike.map((name) => `\`${name}\`: ${faults[name].title}`).join("\n\n"),
      headers: faultHeaders(alike),
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" }, examples: Object.fromEntries(examples) } },
    };
  }
  return responses;
}

/** A header is required if each of the faults has it always. */
function faultHeaders(names: readonly FaultName[]): Record<string, unknown> {
  const each = names.map(headersOf);
  const all: Readonly<Record<string, Header>> = Object.assign({}, ...each);
  return mapValues(all, ({ description, example, sometimes }, header) => {
    const required = sometimes !== true && each.every((headers) => header in headers);
    return { description, schema: { type: "string" }, example, required };
  });
}

function headersOf(name: FaultName): Readonly<Record<string, Header>> {
  const { retryAfter } = faults[name];
  if (retryAfter === undefined) return HEADERS[name] ?? {};
  return { "Retry-After": { description: "The seconds after which the same request may succeed", example: String(retryAfter) } };
}

function fillTables(text: string): string {
  const inJson = (value: string): string => JSON.stringify(value).slice(1, -1);
  return text.replace("{closeCodes}", () => inJson(closeCodes())).replace("{builtinKinds}", () => inJson(kinds()));
}

function closeCodes(): string {
  const rows = Object.entries(closings).map(([code, { when, reconnect, saysPosition }]) => [
    code,
    when,
    reconnect,
    saysPosition ? "the position of the last frame" : "",
  ]);
  return table(["close code", "when", "reconnect?", "reason"], rows);
}

function kinds(): string {
  const yes = (value: unknown): string => (value === undefined || value === false ? "" : "yes");
  const code = (text: string | undefined): string => (text === undefined ? "" : `\`${text}\``);
  const rows = builtinKinds.map(({ path, history, presence, envelope }) => [code(path), yes(history), yes(presence), code(envelope)]);
  return table(["path", "history", "presence", "envelope"], rows);
}

/** Returns a table in Markdown. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function mapValues<V>(object: Readonly<Record<string, V>>, map: (value: V, key: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}

function requireObject(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new Error("openapi.yaml has a value where an object is expected");
  return Object(value);
}

function requireFaults(value: unknown): FaultName[] {
  if (!Array.isArray(value)) throw new Error("openapi.yaml has an operation without x-faults");
  return value.map((name: unknown) => {
    const fault = Object.keys(faults).find((known): known is FaultName => known === name);
    if (fault === undefined) throw new Error(`openapi.yaml names a fault that does not exist: ${String(name)}`);
    return fault;
  });
}
