import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import type { Environment } from "./environment.ts";

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
