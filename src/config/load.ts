import { Value } from "@sinclair/typebox/value";
import { builtinBroadcasts, type BroadcastSettings } from "../channels/builtin.ts";
import { parseDuration } from "../lib/time.ts";
import type { Config } from "./config.ts";
import { crossFaults, kindsOf, targetOf } from "./cross-checks.ts";
import { overlay, type Environment, parseToml, readConfigFile, type ConfigFile } from "./sources.ts";
import { ConfigError, overlaps, schemaFaults, takePrototypes } from "./faults.ts";
import { parsePublicKey } from "./formats.ts";
import { settingsSchema, type Settings } from "./schema.ts";

/**
 * Reads the configuration file, if there is one, and the environment, which wins. An empty variable counts as unset.
 *
 * @param file the path of a TOML file, which wins over `LOCKSTEP_CONFIG`, or a file that was read before
 * @throws ConfigError with every fault
 */
export function loadConfig(environment: Environment, file?: string | ConfigFile): Config {
  const { raw, faults: unreadable } = parseToml(typeof file === "object" ? file : readConfigFile(environment, file));
  const poisoned = takePrototypes(raw);
  const { nameOf, isSet } = overlay(raw, environment);
  const settings = Value.Default(settingsSchema, raw);
  const faults = schemaFaults(settings, nameOf);
  // An unreadable file may set anything that the environment does not.
  const isKnown = (pointer: string): boolean => unreadable.length === 0 || isSet(pointer);
  const isSound = (pointer: string): boolean => isKnown(pointer) && ![...faults.keys()].some((faulty) => overlaps(faulty, pointer));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the cross-checks read sound settings only
  const all = [...unreadable, ...poisoned, ...faults.values(), ...crossFaults(settings as Settings, nameOf, isSound)];
  if (all.length > 0 || !Value.Check(settingsSchema, settings)) throw new ConfigError(all);
  return configOf(settings);
}

function configOf(settings: Settings): Config {
  const { server, redis, auth, log, limits } = settings;
  const kinds = kindsOf(settings);
  const listed: readonly BroadcastSettings[] = settings.broadcasts ?? (settings.channels === undefined ? builtinBroadcasts : []);
  return Object.freeze({
    host: server.host,
    port: server.port,
    workers: server.workers,
    timezone: server.timezone === "" ? new Intl.DateTimeFormat().resolvedOptions().timeZone : server.timezone,
    drainTimeoutMs: parseDuration(server.drain_timeout),
    pingIntervalMs: parseDuration(server.ping_interval),
    redisUrl: redis.url,
    redisPrefix: redis.prefix,
    logLevel: log.level,
    logFormat: log.format,
    limits: Object.freeze({
      maxMessageBytes: limits.max_message_bytes,
      messagesPerSecond: limits.messages_per_second,
      maxConnections: limits.max_connections,
      maxConnectionsPerIp: limits.max_connections_per_ip,
      slowConsumerBytes: limits.slow_consumer_bytes,
      publishQueue: limits.publish_queue,
      publishQueueBytes: limits.publish_queue_bytes,
      publishTimeoutMs: parseDuration(limits.publish_timeout),
    }),
    auth: Object.freeze({
      jwtSecret: auth.jwt_secret,
      publicKey: auth.public_key === "" ? undefined : parsePublicKey(auth.public_key),
      jwksUrl: auth.jwks_url,
      apiKey: auth.api_key,
    }),
    origins: server.origins ?? [],
    trustedProxies: server.trusted_proxies ?? [],
    kinds,
    broadcasts: listed.map(({ path, pattern, message }) => {
      const target = targetOf(kinds, path);
      return { channel: target?.channel ?? "", retention: target?.kind.history, pattern, message };
    }),
  });
}
