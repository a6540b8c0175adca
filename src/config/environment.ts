import type { NameOf } from "./faults.ts";

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
