import type { TSchema } from "@sinclair/typebox";
import { Value, ValueErrorType } from "@sinclair/typebox/value";
import { settingsSchema } from "./schema.ts";

/** A configuration that cannot be used. Nothing starts with it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One line for each fault: the setting, what was found, what is allowed. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

type Keys = readonly (string | number)[];

/** Names a setting for people: its variable, or its key path in the file. */
export type NameOf = (keys: Keys) => string;

const MAX_SHOWN = 80;
const SECRET = "a value that may be secret";

/** The faults that the schema finds, in types and in formats, by JSON Pointer (RFC 6901). */
export function schemaFaults(settings: unknown, nameOf: NameOf): Map<string, string> {
  const faults = new Map<string, string>();
  const add = (pointer: string, value: unknown, allowed: string): void => {
    // The first fault of a setting causes the others.
    if (faults.has(pointer)) return;
    const keys = pointer.slice(1).split("/").map(unescapePointer);
    faults.set(pointer, faultLine(nameOf(keys.map((key) => (/^[0-9]+$/.test(key) ? Number(key) : key))), describe(keys, value), allowed));
  };
  for (const { type, path, value, schema } of Value.Errors(settingsSchema, settings)) {
    const isUnknownKey = type === ValueErrorType.ObjectAdditionalProperties;
    add(path, value, isUnknownKey ? `one of ${Object.keys({ ...schema["properties"] }).join(", ")}` : String(schema["allowed"]));
  }
  checkFormats(settingsSchema, settings, "", add);
  return faults;
}

/** Visits every text that the schema gives a format; other types are faults already. */
function checkFormats(
  schema: TSchema,
  value: unknown,
  pointer: string,
  add: (pointer: string, value: string, allowed: string) => void,
): void {
  if (typeof value === "string") {
    const faultOf: unknown = schema["faultOf"];
    const allowed: unknown = typeof faultOf === "function" ? faultOf(value) : undefined;
    if (typeof allowed === "string") add(pointer, value, allowed);
  } else if (Array.isArray(value)) {
    const items: TSchema | undefined = schema["items"];
    for (const [index, item] of value.entries()) if (items !== undefined) checkFormats(items, item, `${pointer}/${index}`, add);
  } else if (typeof value === "object" && value !== null) {
    const properties: Record<string, TSchema> = schema["properties"] ?? {};
    const inner = new Map(Object.entries(value));
    for (const [key, property] of Object.entries(properties)) checkFormats(property, inner.get(key), `${pointer}/${key}`, add);
  }
}

/** One of two JSON Pointers leads to a part of the other. */
export function overlaps(a: string, b: string): boolean {
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}

/** Removes every key `__proto__` and reports it: copied on, it would become settings that no check sees (CWE-1321). */
export function takePrototypes(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = Array.isArray(value) ? `${path}[${key}]` : `${path}${path === "" ? "" : "."}${key}`;
    if (key !== "__proto__") return takePrototypes(inner, here);
    Reflect.deleteProperty(value, key);
    return [faultLine(here, show(inner), "any other key")];
  });
}

export function faultLine(name: string, found: string, allowed: string): string {
  return `${name}: found ${found}, allowed: ${allowed}`;
}

/** A value on one line, shortened. */
export function show(value: unknown): string {
  const json = value === undefined ? "nothing" : JSON.stringify(value);
  return json.length > MAX_SHOWN ? `${json.slice(0, MAX_SHOWN)}…` : json;
}

/** Hides everything in the tables where people put secrets, misspelt keys and wrong types too. */
function describe([table, key]: readonly string[], value: unknown): string {
  if (table === "redis" && key === "url" && typeof value === "string") return showUrl(value);
  return table === "auth" || (table === "redis" && key !== "prefix") ? SECRET : show(value);
}

/** A url without its credentials, or nothing of it if they cannot be told from the rest. */
function showUrl(url: string): string {
  const { protocol = "", host = "", pathname = "" } = URL.canParse(url) ? new URL(url) : {};
  return host === "" ? SECRET : show(`${protocol}//${host}${pathname === "/" ? "" : pathname}`);
}

/** JSON Pointer, RFC 6901 §4. */
function unescapePointer(token: string): string {
  return token.replaceAll("~1", "/").replaceAll("~0", "~");
}
