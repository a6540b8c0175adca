import { Elysia } from "elysia";
import { Broadcasts } from "./broadcasts.ts";
import { openBus } from "./bus/open.ts";
import type { Config } from "./config/config.ts";
import type { ClientHouse } from "./clients/connection.ts";
import { Connections } from "./clients/connections.ts";
import { EventTopics } from "./clients/event-topics.ts";
import { Counts } from "./counts.ts";
import { Problem } from "./errors.ts";
import type { Instance } from "./http/context.ts";
import { health } from "./http/health.ts";
import { history } from "./http/history.ts";
import { Metrics } from "./http/metrics.ts";
import { presence } from "./http/presence.ts";
import { problems } from "./http/problems.ts";
import { publish } from "./http/publish.ts";
import { serverSentEvents } from "./http/sse.ts";
import { websocket } from "./http/ws.ts";
import { Hub } from "./hub/hub.ts";
import type { Log } from "./log.ts";
import { within } from "./within.ts";

const MIN_BACKLOG_CHECK_BYTES = 16_384;
/** Bodies are bounded where they are read, so that a refusal can say why; this only stands behind that. */
const MAX_BODY_BYTES = Number.MAX_SAFE_INTEGER;
/** How long answers and goodbyes may take on their way before the process ends. */
const GOODBYE_MS = 200;

export interface LockstepServer {
  readonly url: string;
  readonly port: number;
  /**
   * Stops taking anything new, publishes what waits, lets every client have what was sent to it (both up to the drain
   * time-out, each), closes them with 1001, and resolves when everything has ended.
   */
  readonly drain: () => Promise<void>;
}

/**
 * Opens the bus and serves. Resolves once clients are accepted.
 *
 * @throws the system's error, with its `code`, where the port cannot be had
 */
export async function createServer(config: Config, log: Log): Promise<LockstepServer> {
  const { limits } = config;
  let server: Elysia["server"] = null;
  const counts = new Counts();
  const eventTopics = new EventTopics();
  const hub = await Hub.open({
    openBus: (listener) => openBus({ url: config.redisUrl, prefix: config.redisPrefix, limits, counts, log }, listener),
    broadcast: (topic, message, epoch, offset) => {
      server?.publish(topic, message);
      eventTopics.broadcast(topic, message, epoch, offset);
    },
    backlogCheckBytes: Math.max(MIN_BACKLOG_CHECK_BYTES, limits.slowConsumerBytes / 4),
    counts,
    log,
  });
  const connections = new Connections({ ...limits, pingIntervalMs: config.pingIntervalMs });
  const broadcasts = new Broadcasts({
    broadcasts: config.broadcasts,
    timezone: config.timezone,
    log,
    publishTick: async (tick) => {
      if (await hub.bus.publishTick(tick)) counts.ticks += 1;
    },
  });
  let refusal: Problem | undefined;
  const accept = (): void => {
    if (refusal !== undefined) throw refusal;
  };
  const { messagesPerSecond, slowConsumerBytes } = limits;
  const house: ClientHouse = { hub, connections, messagesPerSecond, slowConsumerBytes, counts, log };
  const instance: Instance = { config, house, eventTopics, accept, draining: () => refusal !== undefined };
  const metrics = new Metrics(instance);
  const app = new Elysia({
    handler: { standardHostname: false },
    serve: {
      hostname: config.host,
      // Shared ports would let a second server start in silence and take half of the clients.
      reusePort: false,
      development: false,
      maxRequestBodySize: MAX_BODY_BYTES,
    },
    websocket: {
      maxPayloadLength: limits.maxMessageBytes,
      // Slow readers are found by the hub's look at their backlogs, dead ones by own pings: Bun's limit drops in silence,
      // and its time-out never comes on a busy channel.
      backpressureLimit: 0,
      idleTimeout: 0,
      sendPings: false,
      perMessageDeflate: false,
    },
  })
    .use(problems(log, counts))
    .use(websocket(instance))
    .use(serverSentEvents(instance))
    .use(publish(instance))
    .use(history(instance))
    .use(presence(instance))
    .use(metrics.plugin)
    .use(health(instance))
    .use(broadcasts.plugin);

  const end = (): void => {
    broadcasts.stop();
    metrics.close();
    connections.close();
    hub.close();
  };
  try {
    app.listen(config.port);
  } catch (error) {
    end();
    throw error;
  }
  server = app.server;
  if (server === null) {
    end();
    throw new Error("the server did not start");
  }
  broadcasts.start();

  let drained: Promise<void> | undefined;
  const drain = async (running: NonNullable<typeof server>): Promise<void> => {
    refusal = new Problem("draining", "The instance is draining.");
    broadcasts.stop();
    connections.mute();
    await within(config.drainTimeoutMs, hub.bus.settled());
    await connections.drain(config.drainTimeoutMs);
    // What still waits is refused now, and HTTP may say so.
    end();
    await within(GOODBYE_MS, running.stop(false));
    await running.stop(true);
  };
  return {
    url: server.url.href,
    port: server.port ?? config.port,
    drain: () => (drained ??= drain(app.server ?? server)),
  };
}
