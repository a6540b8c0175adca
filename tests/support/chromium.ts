import { chromium, type Browser } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** The path of Chromium; installs Debian's where that may be done without asking. */
export function findChromium(): string {
  const find = (): string | null => NAMES.map((name) => Bun.which(name)).find((path) => path !== null) ?? null;
  const found = find();
  if (found !== null) return found;
  if (Bun.which("apt-get") !== null) {
    const rights = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    for (const words of [["update"], ["install", "-y", "--no-install-recommends", "chromium"]]) {
      Bun.spawnSync([...rights, "apt-get", ...words], { stdout: "ignore", stderr: "inherit", env });
    }
  }
  const installed = find();
  if (installed === null) throw new Error("the tests need Chromium: install it (apt-get install chromium)");
  return installed;
}

/** A browser without a window. */
export function launchChromium(): Promise<Browser> {
  // Its sandbox takes rights that root in a container does not have.
  return chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}
