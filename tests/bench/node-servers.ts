import { join } from "node:path";

const root = join(import.meta.dir, "../..");
/** In the tree, so that Node finds the packages that the server imports. */
const outdir = join(root, "dist/bench");

/** Writes a server as a script that Node can run, without types; its packages stay as they were published. */
export async function forNode(file: string): Promise<string> {
  const built = await Bun.build({ entrypoints: [file], outdir, target: "node", format: "esm", packages: "external", throw: true });
  const [script] = built.outputs;
  if (script === undefined) throw new Error(`${file} was not built`);
  return script.path;
}
