import { chromium, type Browser } from "playwright-core";
import { findProgram } from "./programs.ts";

/** A browser without a window. */
export function launchChromium(): Promise<Browser> {
  // Its sandbox takes rights that root in a container does not have.
  return chromium.launch({ executablePath: findProgram("chromium"), args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}
