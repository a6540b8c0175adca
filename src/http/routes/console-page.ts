import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dir, "../../../console/app");

/**
 * Returns the console as one page with its script and style inside, so a browser needs one request for it. This is a macro: the bundler puts
 * its result into the executable. From source the result has the same bytes.
 *
 * A child process bundles, because Bun's bundler cannot be called while it waits for a macro.
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
  // Such a tag would end the element around the text.
  if (!build.success || /<\/(script|style)/i.test(text)) throw new Error(`${file} of the console cannot be bundled`);
  return text;
}

/** Returns the hash by which a Content-Security-Policy allows a text (https://www.w3.org/TR/CSP3/#grammardef-hash-source). */
function sourceOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
