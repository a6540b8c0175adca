import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The configuration file as it was when it was read, so that several processes can go by the same. */
export interface ConfigFile {
  /** How faults call it. */
  readonly name: string;
  /** Empty where there is no file. */
  readonly text: string;
  /** Why there is no text, though there should be: one line. */
  readonly unreadable?: string;
}

/** @param given the file's path; wins over `LOCKSTEP_CONFIG` */
export function readConfigFile(environment: Environment, given?: string): ConfigFile {
  const path = given ?? environment["LOCKSTEP_CONFIG"] ?? "";
  if (path === "") return { name: "", text: "" };
  const name = given === undefined ? `LOCKSTEP_CONFIG, ${path}` : path;
  try {
    const bytes = readFileSync(path);
    if (isUtf8(bytes)) return { name, text: bytes.toString("utf8") };
    return { name, text: "", unreadable: `${name}: not valid TOML (it is not UTF-8)` };
  } catch (error) {
    return { name, text: "", unreadable: `${name}: cannot be read (${messageOf(error)})` };
  }
}

/** The first line of what an error says. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
