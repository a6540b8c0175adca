import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv, type ValidateFunction } from "ajv";

export interface Example {
  readonly value: unknown;
}

export interface Media {
  readonly schema: object;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, Example>>;
}

export interface Header {
  readonly required?: boolean;
}

export interface Described {
  readonly description: string;
  readonly headers?: Readonly<Record<string, Header>>;
  readonly content?: Readonly<Record<string, Media>>;
}

export interface Parameter {
  readonly in: "path" | "query" | "header";
  readonly name: string;
  readonly required?: boolean;
  readonly example: unknown;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Described>>;
}

export interface Document {
  readonly openapi: string;
  readonly info: { readonly version: string; readonly description: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string }[];
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly pattern?: string }>>;
    readonly securitySchemes: Readonly<Record<string, { readonly name?: string }>>;
  };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  /** Names are in lower case. */
  readonly headers: { get(name: string): string | null | undefined; keys(): Iterable<string> };
  readonly body: string;
}

/** Headers that every answer may have, or that HTTP itself makes. */
const COMMON = /^(content-(type|length)|date|connection|keep-alive|transfer-encoding|vary|access-control-.*|sec-websocket-accept|upgrade)$/;
const PROBLEM = "application/problem+json";

/** The document of a server, and what of its answers it does not say. */
export class Reference {
  readonly json: string;
  readonly operations: Operation[] = [];
  readonly document: Document;
  /** What the validator found wrong. */
  readonly faults: unknown;
  readonly #validators = new Map<object, ValidateFunction>();
  readonly #ajv = new Ajv({ strict: false, formats: { byte: true, binary: true } });

  private constructor(json: string, document: Document, faults: unknown) {
    this.json = json;
    this.document = document;
    this.faults = faults;
    for (const [path, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) this.operations.push({ ...operation, method: method.toUpperCase(), path });
    }
  }

  static async of(url: string): Promise<Reference> {
    const json = await (await fetch(`${url}/openapi/json`)).text();
    const validator = new Validator();
    const { valid, errors } = await validator.validate(JSON.parse(json));
    const resolved: Document = JSON.parse(JSON.stringify(validator.resolveRefs()));
    return new Reference(json, resolved, valid ? undefined : errors);
  }

  get(operationId: string): Operation {
    const found = this.operations.find((operation) => operation.operationId === operationId);
    if (found === undefined) throw new Error(`the reference has no ${operationId}`);
    return found;
  }

  /** The operation that a request is for, if it is for one. Nobody says whose a path with `..` is: Bun takes it out where there is a Host. */
  find(method: string, target: string): Operation | undefined {
    const path = target.split("?")[0] ?? "";
    if (URL.parse(`http://localhost${target}`)?.pathname !== path) return undefined;
    return this.operations.find((one) => {
      if (one.method !== method) return false;
      return one.path.endsWith("{path}") ? path.startsWith(one.path.slice(0, -"{path}".length)) : one.path === path;
    });
  }

  /** Names of the faults that an operation says it answers with. */
  static refusals({ responses }: Operation): string[] {
    return Object.values(responses).flatMap(({ content }) => Object.keys(content?.[PROBLEM]?.examples ?? {}));
  }

  /** What is wrong with an answer by the document. */
  differences({ responses }: Operation, { status, headers, body }: Answer): string[] {
    const response = responses[status];
    if (response === undefined) return [`${status} is not documented`];
    const found = this.#headerDifferences(response, headers);
    const type = headers.get("content-type")?.split(";")[0]?.trim();
    if (response.content === undefined) return body === "" ? found : [...found, `${status} has a body`];
    const media = response.content[type ?? ""];
    if (type === undefined || media === undefined) return [...found, `${status} comes as ${type}`];
    const value: unknown = type.endsWith("json") ? JSON.parse(body) : body;
    found.push(...this.schemaDifferences(media.schema, value));
    if (type === PROBLEM) {
      const known = Object.values(media.examples ?? {}).map((example) => typeOf(example.value));
      if (!known.includes(typeOf(value))) found.push(`${typeOf(value)} is no example of ${status}`);
    }
    return found;
  }

  schemaDifferences(schema: object, value: unknown): string[] {
    const validate = this.#validators.get(schema) ?? this.#ajv.compile(closed(schema));
    this.#validators.set(schema, validate);
    return validate(value) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }

  #headerDifferences({ headers: described = {} }: Described, headers: Answer["headers"]): string[] {
    const missing = Object.entries(described).filter(
      ([name, { required }]) => required === true && typeof headers.get(name.toLowerCase()) !== "string",
    );
    const known = new Set(Object.keys(described).map((name) => name.toLowerCase()));
    const strange = [...headers.keys()].filter((name) => !COMMON.test(name) && !known.has(name));
    return [...missing.map(([name]) => `${name} is missing`), ...strange.map((name) => `${name} is not documented`)];
  }
}

/** The name of the fault that a problem is. */
export function typeOf(problem: unknown): string {
  if (typeof problem !== "object" || problem === null || !("type" in problem)) return "no problem";
  return String(problem.type).replace("urn:lockstep:problem:", "");
}

/** A schema that takes no property which it does not name, so that none is left out of it. */
function closed(schema: unknown): object {
  if (typeof schema !== "object" || schema === null) throw new Error("a schema is an object");
  const copy: unknown = JSON.parse(JSON.stringify(schema), (_, value: unknown) =>
    typeof value === "object" && value !== null && "properties" in value && "type" in value
      ? { additionalProperties: false, ...value }
      : value,
  );
  return Object(copy);
}
