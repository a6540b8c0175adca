import { Broadcasts } from "./broadcasts.ts";
import { requireAbilities } from "./bus/open.ts";
import { openBus } from "./bus/open.ts";
import type { Server } from "bun";
import type { Config } from "./config/config.ts";
import { Counts } from "./counts.ts";
import { Problem } from "./errors.ts";
import { createApp } from "./http/app.ts";
import { LongAnswers, type Instance, type Siblings } from "./http/context.ts";
import { Metrics, type Readings } from "./http/routes/operations.ts";
import { fixedDifferences, rulesOf } from "./http/rules.ts";
import { Hub } from "./hub/hub.ts";
import type { Log } from "./log.ts";
import { rawEncoder, RawProtocol } from "./protocols/raw.ts";
import { sseEncoder, SseProtocol } from "./protocols/sse.ts";
import type { SessionContext } from "./sessions/context.ts";
import { Disconnections } from "./sessions/disconnections.ts";
import { EncodedFanOut } from "./protocols/protocol.ts";
import { RefusalLog } from "./sessions/refusal-log.ts";
import { Registry } from "./sessions/registry.ts";
import { StreamTopics } from "./sessions/transports/event-stream.ts";
import { NativeTopics, socketHandler, type WebSocketTransport } from "./sessions/transports/websocket.ts";
import { within } from "./lib/time.ts";

/** A backstop: bodies are bounded where they are read, so that a refusal can say why. */
const MAX_BODY_BYTES = Number.MAX_SAFE_INTEGER;
/** Idle time, in seconds, after which a connection with an incomplete request is cut. */
const IDLE_TIMEOUT_S = 10;
/** Time for the last responses and close frames to be sent before the process exits. */
const GOODBYE_MS = 200;

export interface LockstepServer {
  readonly url: string;
  readonly port: number;
  /**
   * Stops taking anything new, publishes what waits, closes every client with 1001 after everything that was sent to it (each of
   * both up to the drain time-out), and resolves when everything has ended.
   */
  readonly drain: () => Promise<void>;
  /**
   * Applies another configuration: channels, broadcasts, limits, keys, origins and proxies. It disconnects nobody but clients whose
   * path leads to another channel now. Returns the settings that differ and need a restart.
   */
  readonly reload: (config: Config) => string[];
  /** True while the bus is up and the server is not draining. */
  readonly ready: () => boolean;
  /** The metrics of this process. */
  readonly read: () => Promise<Readings>;
  /** The subset of those metrics that stays valid after the process has exited. */
  readonly readLasting: () => Promise<readonly object[]>;
}

/**
 * Opens the bus and serves. Resolves once clients are accepted.
 *
 * @param siblings the processes that share the port, where it is shared
 * @throws the system's error, with its `code`, where the port cannot be had
 */
export async function createServer(config: Config, log: Log, siblings?: Siblings): Promise<LockstepServer> {
  let rules = rulesOf(config, log);
  // Shared and mutable: a reload overwrites the values in place.
  const limits = { ...config.limits };
  let server: Server<WebSocketTransport>;
  const counts = new Counts();
  const nativeTopics = new NativeTopics();
  const streamTopics = new StreamTopics();
  const rawFanOut = new EncodedFanOut(rawEncoder, nativeTopics);
  const sseFanOut = new EncodedFanOut(sseEncoder, streamTopics);
  const longAnswers = new LongAnswers();
  const hub = await Hub.open({
    openBus: (listener) => openBus({ url: config.redisUrl, prefix: config.redisPrefix, limits, counts, log }, listener),
    limits,
    counts,
    log,
  });
  try {
    requireAbilities(hub.bus, config.kinds, config.broadcasts);
  } catch (error) {
    hub.close();
    throw error;
  }
  const registry = new Registry(limits, config.pingIntervalMs);
  let refusal: Problem | undefined;
  const sessions: SessionContext = {
    hub,
    registry,
    get policy() {
      return rules.policy;
    },
    limits,
    counts,
    refusals: new RefusalLog(log),
    log,
  };
  const disconnections = new Disconnections(hub, registry);
  if (rules.policy.hasSubjects) disconnections.start();
  const metrics = new Metrics(sessions);
  const instance: Instance = {
    get rules() {
      return rules;
    },
    sessions,
    protocols: {
      raw: new RawProtocol(rawFanOut, false),
      rawWithHello: new RawProtocol(rawFanOut, true),
      sse: () => new SseProtocol(sseFanOut),
    },
    streamTopics,
    longAnswers,
    disconnections,
    metrics,
    siblings,
    draining: () => refusal !== undefined,
    accept: () => {
      if (refusal !== undefined) throw refusal;
    },
  };
  const app = createApp(instance).compile();
  const broadcasts = new Broadcasts(app, sessions);
  const end = (): void => {
    metrics.close();
    registry.close();
    hub.close();
  };
  const serving = {
    hostname: config.host,
    port: config.port,
    // Where nobody has taken the port for all, a second server would start in silence and take half of the clients.
    reusePort: siblings !== undefined,
    development: false,
    idleTimeout: IDLE_TIMEOUT_S,
    maxRequestBodySize: MAX_BODY_BYTES,
    fetch: app.fetch,
  };
  try {
    server = Bun.serve({ ...serving, websocket: socketHandler(limits.maxMessageBytes) });
  } catch (error) {
    end();
    throw error;
  }
  const running = server;
  nativeTopics.use(running);
  app.server = running;
  broadcasts.schedule(config);

  let drained: Promise<void> | undefined;
  const drain = async (): Promise<void> => {
    refusal = new Problem("draining", "The instance is draining.");
    broadcasts.stop();
    registry.mute();
    const { drainTimeoutMs } = rules.config;
    await within(drainTimeoutMs, hub.bus.settled());
    await Promise.all([registry.drain(drainTimeoutMs), within(drainTimeoutMs, longAnswers.none())]);
    // What still waits is refused now, and HTTP may say so.
    end();
    await within(GOODBYE_MS, running.stop(false));
    await running.stop(true);
  };
  return {
    url: running.url.href,
    port: running.port ?? config.port,
    drain: () => (drained ??= drain()),
    reload: (next) => {
      rules = rulesOf(next, log, rules);
      Object.assign(limits, next.limits);
      running.reload({ ...serving, websocket: socketHandler(limits.maxMessageBytes) });
      hub.reload(next.kinds);
      registry.reconsider();
      if (rules.policy.hasSubjects) disconnections.start();
      if (refusal === undefined) broadcasts.schedule(next);
      return fixedDifferences(config, next);
    },
    ready: () => refusal === undefined && hub.bus.ready(),
    read: () => metrics.read(),
    readLasting: () => metrics.readLasting(),
  };
}
