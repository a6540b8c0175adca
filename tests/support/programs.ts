import { existsSync, mkdirSync, mkdtempSync, renameSync } from "node:fs";
import { join } from "node:path";

/** Programs of others that the tests run, and in whose packages they are; of Debian's, as far as the first ones do not have it. */
const programs = {
  "redis-server": { debian: ["redis-server"], brew: "redis", get: install },
  nginx: { debian: ["nginx"], brew: "nginx", get: unpack },
  prometheus: { debian: ["prometheus"], brew: "prometheus", get: unpack },
  promtool: { debian: ["prometheus", "promtool"], brew: "prometheus", get: unpack },
  // Unpacked alone it would miss its libraries.
  chromium: { debian: ["chromium"], brew: "chromium", get: install },
} as const;

export type ProgramName = keyof typeof programs;

const cache = join(import.meta.dir, "../../node_modules/.cache/debian");

/** The path of a program; installs it where that may be done without asking. */
export function findProgram(name: ProgramName): string {
  const { debian, brew } = programs[name];
  const unpacked = debian.flatMap((one) => ["usr/sbin", "usr/bin"].map((folder) => join(cache, one, folder)));
  // Not everybody's PATH has the places of what is for administrators.
  const PATH = [process.env["PATH"] ?? "", "/usr/local/sbin", "/usr/sbin", ...unpacked].join(":");
  for (const get of [() => undefined, ...waysTo(name)]) {
    get();
    const found = Bun.which(name, { PATH });
    if (found !== null) return found;
  }
  throw new Error(`the tests need ${name}: install it (apt-get install ${debian[0]}, or brew install ${brew})`);
}

function waysTo(name: ProgramName): readonly (() => unknown)[] {
  const { debian, brew, get } = programs[name];
  if (Bun.which("apt-get") !== null) return debian.map((one) => () => get(one));
  return Bun.which("brew") === null ? [] : [() => run(["brew", "install", brew])];
}

function install(name: string): void {
  asRoot(["apt-get", "update"]);
  asRoot(["apt-get", "install", "-y", "--no-install-recommends", name]);
}

/** Into a folder of the tests' own: installed, it would run as a service, on ports that somebody else may want. */
function unpack(name: string): void {
  if (existsSync(join(cache, name))) return;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "unpacking-"));
  // The user of apt's sandbox may not write here.
  const download = (): boolean => run(["apt-get", "download", "-o", "APT::Sandbox::User=root", name], folder);
  if (!download()) {
    asRoot(["apt-get", "update"]);
    if (!download()) return;
  }
  for (const file of new Bun.Glob("*.deb").scanSync(folder)) run(["dpkg", "-x", file, "."], folder);
  renameSync(folder, join(cache, name));
}

function asRoot(words: readonly string[]): void {
  if (process.getuid?.() === 0) run(words);
  else if (Bun.which("sudo") !== null) run(["sudo", "-n", ...words]);
}

function run(words: readonly string[], cwd = "."): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  return Bun.spawnSync([...words], { cwd, env, stdout: "ignore", stderr: "inherit" }).success;
}

// Before the tests, whose files run in parallel: two installations at a time would get in each other's way.
if (import.meta.main) {
  findProgram("redis-server");
  for (const name of ["nginx", "prometheus", "promtool", "chromium"] as const) {
    try {
      findProgram(name);
    } catch (error) {
      console.error(String(error));
    }
  }
}
