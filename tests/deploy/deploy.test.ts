import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDuration } from "../../src/lib/time.ts";
import { executable } from "../support/executable.ts";
import { configOf } from "../support/instance.ts";
import { replaced } from "../support/replaced.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);

const root = join(import.meta.dir, "../..");
const read = (name: string): string => readFileSync(join(root, name), "utf8");

interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly networks: Readonly<Record<string, { readonly ipv4_address: string } | null>>;
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
  readonly restart?: string;
}

const composeText = read("deploy/compose.yaml");
const compose = Object(Bun.YAML.parse(composeText));
const services: Readonly<Record<string, Service>> = compose.services;
const nginx = read("deploy/nginx.conf");
const unit = read("deploy/lockstep.service");
const dockerfile = read("Dockerfile");
const { drainTimeoutMs, pingIntervalMs, limits } = configOf({ toml: read("deploy/lockstep.toml") });

/** All that stands where the first group of an expression matches. */
function found(text: string, expression: RegExp): string[] {
  return [...text.matchAll(expression)].map(([, group = ""]) => group);
}

function frontOf(name: string): string | undefined {
  return services[name]?.networks["front"]?.ipv4_address;
}

describe("what lies in deploy/", () => {
  test("names the same addresses in every file", () => {
    const instances = Object.keys(services).filter((name) => name.startsWith("lockstep-"));
    const servers = instances.map((name) => `${frontOf(name)}:9001`);
    expect(found(nginx, /^\s+server ([0-9.:]+) max_fails=0;$/gm)).toEqual([...servers, ...servers]);
    expect(read("deploy/lockstep.toml")).toContain(`trusted_proxies = ["${frontOf("nginx")}"]`);
    const [subnet = ""] = found(composeText, /subnet: ([0-9.]+)\.0\/24/g);
    for (const name of ["nginx", ...instances]) expect(frontOf(name)).toStartWith(`${subnet}.`);
    const targets = found(read("deploy/prometheus.yaml"), /- (\S+:9001)/g);
    expect(targets).toEqual(instances.map((name) => `${name}:9001`));
    const [port = ""] = found(nginx, /listen (\d+);/g);
    expect(services["nginx"]?.ports).toEqual([expect.stringMatching(new RegExp(`:${port}$`))]);
    expect(services["nginx"]?.healthcheck?.test.join(" ")).toContain(`127.0.0.1:${port}/livez`);
  });

  test("gives a drain the time that it may take, and nginx's limits those of the instances", () => {
    const [stopping = ""] = found(unit, /^TimeoutStopSec=(\S+)$/gm);
    for (const time of [services["lockstep-1"], services["lockstep-2"]].map((service) => service?.stop_grace_period ?? "")) {
      expect(parseDuration(time)).toBeGreaterThanOrEqual(2 * drainTimeoutMs + 1000);
      expect(stopping).toBe(time);
    }
    for (const time of found(nginx, /proxy_(?:read|send)_timeout (\S+);/g)) expect(parseDuration(time)).toBeGreaterThan(2 * pingIntervalMs);
    expect(found(nginx, /client_(?:max_body|body_buffer)_size (\d+)k;/g).map((size) => Number(size) * 1024)).toEqual([
      limits.maxMessageBytes,
      limits.maxMessageBytes,
    ]);
    expect(read("deploy/alerts.yaml")).toContain(`lockstep_connections > ${0.8 * limits.maxConnections}\n`);
  });

  test("starts every service again, asks after it, and names only files that are there", () => {
    for (const [name, { healthcheck, restart, stop_grace_period, volumes = [] }] of Object.entries(services)) {
      expect([name, healthcheck?.test[0], restart, stop_grace_period !== undefined]).toEqual([name, "CMD", "unless-stopped", true]);
      for (const [file = ""] of volumes.map((volume) => volume.split(":")))
        expect([file, file.startsWith("./") ? existsSync(join(root, "deploy", file)) : file in compose.volumes]).toEqual([file, true]);
    }
  });

  test("holds no secrets: those of compose.yaml are asked for, and .env.example leaves them empty", () => {
    for (const { environment = {} } of Object.values(services))
      for (const [name, value] of Object.entries(environment)) {
        if (/KEY|SECRET|PASSWORD|TOKEN/.test(name)) expect(value).toBe(`\${${name}:?see .env.example}`);
      }
    const example = read("deploy/.env.example");
    const asked = new Set(found(composeText, /\$\{(\w+):/g));
    expect(new Set(found(example, /^(\w+)=/gm))).toEqual(asked);
    for (const name of found(composeText, /\$\{(\w+):\?/g)) expect(example).toContain(`\n${name}=\n`);
  });

  test("agrees with the Dockerfile: its health check, no root, and SIGTERM to the server itself", () => {
    const [user = ""] = found(dockerfile, /^USER (\d+):\d+$/gm);
    expect(Number(user)).toBeGreaterThan(0);
    const [words = "[]"] = found(dockerfile, /^HEALTHCHECK .*CMD (\[.*\])$/gm);
    expect(services["lockstep-1"]?.healthcheck?.test).toEqual(["CMD", ...JSON.parse(words)]);
    // Not a shell, which would keep the signal to itself.
    expect(dockerfile).toMatch(/^ENTRYPOINT \["lockstep"\]$/m);
    expect(dockerfile).not.toContain("STOPSIGNAL");
  });

  test.skipIf(Bun.which("systemd-analyze") === null)("has a unit that systemd takes", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-unit-"));
    const file = join(folder, "lockstep.service");
    writeFileSync(file, replaced(unit, { "ExecStart=/usr/local/bin/lockstep": `ExecStart=${await executable()}` }));
    const { exitCode, stderr } = Bun.spawnSync(["systemd-analyze", "verify", "--man=no", file]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    rmSync(folder, { recursive: true });
  });
});
