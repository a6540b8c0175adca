import { dirname, join, normalize } from "node:path";

const root = join(import.meta.dir, "../..");

/** The TypeScript files of the server, the client and the console, as paths from the repository's root. */
export const sources: readonly string[] = ["src", "client", "console"]
  .flatMap((folder) => Array.from(new Bun.Glob(`${folder}/**/*.ts`).scanSync(root)))
  .filter((file) => !file.endsWith(".d.ts"))
  .toSorted();

export function readSource(file: string): string {
  return texts.get(file) ?? "";
}

const texts = new Map(await Promise.all(sources.map(async (file) => [file, await Bun.file(join(root, file)).text()] as const)));

/** Everything that a file imports or re-exports, types included: packages by name, files as paths from the repository's root. */
export function importsOf(file: string): string[] {
  const statements = readSource(file).matchAll(/^(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gms);
  return [...statements].map((match) => {
    const specifier = match[1] ?? match[2] ?? "";
    return specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : specifier;
  });
}
