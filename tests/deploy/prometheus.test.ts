import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import dashboard from "../../deploy/grafana-dashboard.json" with { type: "json" };
import { Client } from "../support/client.ts";
import { Server } from "../support/executable.ts";
import { findProgram } from "../support/programs.ts";
import { Prometheus, promtool } from "../support/prometheus.ts";
import { RedisServer } from "../support/redis.ts";
import { API_KEY, bearer } from "../support/tokens.ts";
import { waitFor } from "../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);
// Without it no test here has a meaning.
findProgram("prometheus");

const deploy = join(import.meta.dir, "../../deploy");

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const rules: readonly Rule[] = Object(Bun.YAML.parse(readFileSync(join(deploy, "alerts.yaml"), "utf8"))).groups[0].rules;

/** The dashboard's expressions, as Grafana would send them. */
const panels = dashboard.panels.flatMap(({ title, targets }) =>
  (targets ?? []).map(({ expr }) => ({ title, expr: expr.replaceAll("$instance", ".+").replaceAll("$__rate_interval", "1m") })),
);

function ruleOf(name: string): Rule {
  const rule = rules.find(({ alert }) => alert === name);
  if (rule === undefined) throw new Error(`there is no alert ${name}`);
  return rule;
}

describe("deploy/alerts.yaml", () => {
  test("passes promtool's check, and each alert fires for its fault alone", async () => {
    const file = join(import.meta.dir, "alerts.promtool.yaml");
    expect(await promtool("check", "rules", "--lint-fatal", join(deploy, "alerts.yaml"))).toMatchObject({ code: 0 });
    expect(await promtool("test", "rules", file)).toMatchObject({ code: 0, said: expect.stringContaining("SUCCESS") });
    // What a test expects to fire.
    const fired = [...readFileSync(file, "utf8").matchAll(/labels: 'ALERTS\{alertname="(\w+)", alertstate="firing"/g)];
    const tested = new Set(fired.map(([, name]) => name));
    expect(rules.map(({ alert }) => alert).filter((alert) => !tested.has(alert))).toEqual([]);
  });

  test("says of each alert how bad it is, what happened and what to do", () => {
    for (const { alert, labels, annotations } of rules) {
      expect(["critical", "warning"]).toContain(String(labels["severity"]));
      expect([alert, annotations["summary"]?.includes("{{ $labels.instance }}")]).toEqual([alert, true]);
      expect(annotations["description"]?.length ?? 0).toBeGreaterThan(60);
    }
  });
});

describe("a Prometheus with the files of deploy/, that looks at two instances", () => {
  let redis: RedisServer;
  let one: Server;
  let two: Server;
  let prometheus: Prometheus;
  const headers = bearer(API_KEY);
  /** What ends all that was started, also where something else did not start. */
  const ends: (() => unknown)[] = [];

  async function publish(server: Server, path: string, text: string): Promise<number> {
    const response = await fetch(`${server.url}/publish/${path}`, { method: "POST", body: text, headers });
    await response.text();
    return response.status;
  }

  async function enter(server: Server, path: string): Promise<Client> {
    const client = await Client.join(server.port, `/ws/${path}`, { headers });
    ends.push(() => client.destroy());
    return client;
  }

  /** Resolves once an alert's expression says something of an instance. */
  function fires(name: string, { port }: Server): Promise<void> {
    const { expr } = ruleOf(name);
    const says = async (): Promise<boolean> =>
      (await prometheus.query(expr)).some(({ metric }) => metric["instance"] === `127.0.0.1:${port}`);
    return waitFor(`${name} of ${port}`, says);
  }

  beforeAll(async () => {
    redis = await RedisServer.start();
    ends.push(() => redis.stop());
    const env = { REDIS_URL: redis.url, LOCKSTEP_API_KEY: API_KEY };
    [one, two] = await Promise.all([Server.start(env), Server.start({ ...env, WORKERS: "2" })]);
    for (const server of [one.keep(), two.keep()]) ends.push(() => server.end("SIGKILL"));
    prometheus = await Prometheus.start(one.port, two.port, API_KEY);
    ends.push(() => prometheus.stop());
  });
  afterAll(() => Promise.all(ends.map((end) => end())));

  test("passes promtool's check with them, and reaches both with the key from its file", async () => {
    expect(await promtool("check", "config", prometheus.file)).toMatchObject({ code: 0 });
    await waitFor("both to be up", async () => (await prometheus.query('up{job="lockstep"} == 1')).length === 2);
    expect((await fetch(`${one.url}/metrics`)).status).toBe(401);
  });

  test("every expression of the dashboard has data, and the list of instances too", async () => {
    await Promise.all([enter(one, "rooms/a"), enter(two, "rooms/a"), enter(two, "ws_example_channel")]);
    // A rate takes two looks, and what happened between them.
    let empty: readonly { title: string; expr: string }[] = panels;
    const allHaveData = async (): Promise<boolean> => {
      await Promise.all([publish(one, "rooms/a", "hello"), publish(two, "rooms/a", "hello"), publish(one, "no/such", "refused")]);
      const results = await Promise.all(
        empty.map(async (panel) => ({ panel, samples: await prometheus.query(panel.expr).catch((error: unknown) => String(error)) })),
      );
      empty = results
        .filter(({ samples }) => typeof samples === "string" || samples.every(({ value }) => value[1] === "NaN"))
        .map(({ panel }) => panel);
      return empty.length === 0;
    };
    await waitFor("data", allHaveData).catch(() => "what is empty is named below");
    expect(empty).toEqual([]);
    expect(panels.length).toBeGreaterThan(25);
    expect(await prometheus.labelValues("lockstep_connections", "instance")).toEqual(
      [one, two].map(({ port }) => `127.0.0.1:${port}`).toSorted(),
    );
  });

  test("no alert says anything while all is well, and every metric that one asks for is there", async () => {
    // How fast it is the machine decides: they are asked all the same, and promtool tries them.
    const ofSpeed = new Set(["LockstepPublishSlow", "LockstepEventLoopLags"]);
    for (const { alert, expr } of rules) {
      const says = await prometheus.query(expr);
      if (!ofSpeed.has(alert)) expect([alert, says]).toEqual([alert, []]);
    }
    for (const name of new Set(rules.flatMap(({ expr }) => expr.match(/\b(?:lockstep|process)_\w+|\bup\b/g) ?? []))) {
      expect([name, (await prometheus.query(`last_over_time(${name}[1m])`)).length > 0]).toEqual([name, true]);
    }
    // What is asked of a label has to be a value that there is.
    const asked = rules.flatMap(({ expr }) => /reason=~?"([^"]+)"/.exec(expr)?.[1]?.split("|") ?? []);
    for (const reason of asked)
      expect([reason, await prometheus.query(`lockstep_refusals_total{reason="${reason}"}`)]).toEqual([
        reason,
        expect.arrayContaining([expect.anything()]),
      ]);
  });

  test("alerts say so when a stranger publishes, a worker dies, Redis is away, and an instance ends", async () => {
    const foreign = redis.client();
    await foreign.publish("rooms:a", "of no log");
    await fires("LockstepForeignMessages", one);
    process.kill(two.workers[0] ?? 0, "SIGKILL");
    await fires("LockstepWorkersRestart", two);
    await enter(one, "ws_example_channel");
    await redis.kill();
    await Promise.all([
      fires("LockstepBusAway", one),
      fires("LockstepBusAway", two),
      fires("LockstepPublishRefused", one),
      publish(one, "rooms/a", "never"),
    ]);
    await redis.start();
    await fires("LockstepGapTold", one);
    await waitFor("Redis to be there again", async () => (await prometheus.query(ruleOf("LockstepBusAway").expr)).length === 0);
    await two.end("SIGKILL");
    await fires("LockstepInstanceDown", two);
    expect((await prometheus.query(ruleOf("LockstepInstanceDown").expr)).length).toBe(1);
  });
});
