import manifest from "../../package.json" with { type: "json" };

/** What a server is made of, by the version that runs here; what is not here is left out. */
export function versions(): Readonly<Record<string, string>> {
  return {
    bun: Bun.version,
    ioredis: manifest.dependencies.ioredis,
    ...said("redis", ["redis-server", "--version"], /v=(\S+)/),
    ...said("node", ["node", "--version"], /v(\S+)/),
    // Pinned exactly, so this is what is installed.
    ws: manifest.devDependencies.ws,
    "socket.io": manifest.devDependencies["socket.io"],
    "@socket.io/redis-adapter": manifest.devDependencies["@socket.io/redis-adapter"],
    ...said("nginx", ["nginx", "-v"], /nginx\/(\S+)/),
  };
}

function said(name: string, command: readonly string[], pattern: RegExp): Record<string, string> {
  if (Bun.which(command[0] ?? "") === null) return {};
  const { stdout, stderr } = Bun.spawnSync([...command]);
  const version = pattern.exec(`${stdout.toString()}${stderr.toString()}`)?.[1];
  return version === undefined ? {} : { [name]: version };
}
