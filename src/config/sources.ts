import type { NameOf } from "./faults.ts";
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";

/** The configuration file at the time of reading, so that several processes use the same text. */
export interface ConfigFile {
  /** Its name in faults. */
  readonly name: string;
  /** Empty if there is no file. */
  readonly text: string;
  /** The fault of a file that cannot be read: one line. */
  readonly unreadable?: string;
}

/** Reads the file. @param given its path; wins over `LOCKSTEP_CONFIG` */
export function readConfigFile(environment: Environment, given?: string): ConfigFile {
  const path = given ?? environment["LOCKSTEP_CONFIG"] ?? "";
  if (path === "") return { name: "", text: "" };
  const name = given === undefined ? `LOCKSTEP_CONFIG, ${path}` : path;
  try {
    const bytes = readFileSync(path);
    if (isUtf8(bytes)) return { name, text: bytes.toString("utf8") };
    return { name, text: "", unreadable: `${name}: not valid TOML (it is not UTF-8)` };
  } catch (error) {
    return { name, text: "", unreadable: `${name}: cannot be read (${firstLine(error)})` };
  }
}

/** The settings in a file, or none and the fault that hides them. */
export function parseToml({ name, text, unreadable }: ConfigFile): { raw: Record<string, unknown>; faults: string[] } {
  if (unreadable !== undefined) return { raw: {}, faults: [unreadable] };
  try {
    return { raw: parse(text), faults: [] };
  } catch (error) {
    const where = error instanceof TomlError ? `, line ${error.line}, column ${error.column}` : "";
    return { raw: {}, faults: [`${name}${where}: not valid TOML (${firstLine(error)})`] };
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The settings that variables overrule, and the conversion of their text. */
const variableSettings: Readonly<Record<string, readonly [table: string, key: string, as?: "integer" | "list"]>> = {
  HOST: ["server", "host"],
  PORT: ["server", "port", "integer"],
  WORKERS: ["server", "workers", "integer"],
  REDIS_URL: ["redis", "url"],
  LOCKSTEP_JWT_SECRET: ["auth", "jwt_secret"],
  LOCKSTEP_API_KEY: ["auth", "api_key"],
  LOCKSTEP_ORIGINS: ["server", "origins", "list"],
  LOG_LEVEL: ["log", "level"],
  TZ: ["server", "timezone"],
};

export interface Overlay {
  /** Names a setting by its variable, or by its key path in the file. */
  readonly nameOf: NameOf;
  /** A variable sets the setting at a JSON Pointer. */
  readonly isSet: (pointer: string) => boolean;
}

/** Writes the variables over the file's settings, in place. An empty variable counts as unset. */
export function overlay(raw: Record<string, unknown>, environment: Environment): Overlay {
  const variables = new Map<string, string>();
  for (const [variable, [table, key, as]] of Object.entries(variableSettings)) {
    const value = environment[variable];
    if (value === undefined || value === "") continue;
    variables.set(`${table}.${key}`, variable);
    const settings = raw[table] ?? {};
    // Anything but a table stays, and the schema reports it.
    if (typeof settings === "object") raw[table] = { ...settings, [key]: convert(value, as) };
  }
  const nameOf: NameOf = (keys) => {
    const inner = (rest: typeof keys): string => rest.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
    const variable = variables.get(`${keys[0]}.${keys[1]}`);
    return variable === undefined ? inner(keys).slice(1) : variable + inner(keys.slice(2));
  };
  return { nameOf, isSet: (pointer) => variables.has(pointer.slice(1).replace("/", ".")) };
}

/** The variable's text as the file would write it. A text that is not an integer stays, and the schema reports it. */
function convert(text: string, as: "integer" | "list" | undefined): unknown {
  if (as === "list") return text.split(",").map((part) => part.trim());
  return as === "integer" && /^[0-9]{1,15}$/.test(text) ? Number(text) : text;
}
