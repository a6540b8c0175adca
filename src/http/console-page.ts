import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dir, "../../console/app");

/**
 * The console as one page: its script and its style stand in it, so that it is one file in the executable and one request of a
 * browser. Called as a macro: the bundler puts the answer into the executable, and from source it is the same bytes.
 *
 * A process of its own bundles, since Bun's bundler cannot be called while it waits for a macro.
 */
export function consolePage(): { html: string; script: string; style: string } {
  const script = bundle("main.ts");
  const style = bundle("style.css");
  const html = readFileSync(join(folder, "index.html"), "utf8")
    .replace(/\n\s*/g, "\n")
    .replace("<!--style-->", () => `<style>${style}</style>`)
    .replace("<!--script-->", () => `<script type="module">${script}</script>`);
  return { html, script: sourceOf(script), style: sourceOf(style) };
}

function bundle(file: string): string {
  const build = Bun.spawnSync([process.execPath, "build", join(folder, file), "--minify", "--target=browser"], { stderr: "inherit" });
  const text = build.stdout.toString().trim();
  // It would end the element that it stands in.
  if (!build.success || /<\/(script|style)/i.test(text)) throw new Error(`${file} of the console cannot be bundled`);
  return text;
}

/** What a Content-Security-Policy allows it by (https://www.w3.org/TR/CSP3/#grammardef-hash-source). */
function sourceOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
