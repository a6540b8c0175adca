import { Type, type Static, type TInteger, type TString, type TUnsafe } from "@sinclair/typebox";
import type { Access, OnGap, PublishRule } from "../channels/kind.ts";
import { DURATION } from "../lib/time.ts";
import { logLevels, type LogFormat, type LogLevel } from "../log.ts";
import {
  apiKeyFault,
  cronFault,
  hostFault,
  jwksUrlFault,
  originFault,
  positiveDurationFault,
  redisPrefixFault,
  redisUrlFault,
  timezoneFault,
  publicKeyFault,
} from "./formats.ts";
import { networkFault } from "./networks.ts";

/*
 * The configuration file, key by key (contract §8), with every default. Each schema carries `allowed`: the text for people if the
 * type is wrong. A text with a format carries `faultOf` besides: it answers the allowed form if a text does not have it.
 */

type FaultOf = (text: string) => string | undefined;

const text = (value: string, allowed = "a text", faultOf?: FaultOf): TString => Type.String({ default: value, allowed, faultOf });

// No default: with one, TypeBox would convert a table to a list.
const texts = (items: string, faultOf: FaultOf) =>
  Type.Optional(Type.Array(Type.String({ allowed: "a text", faultOf }), { allowed: `a list of ${items}` }));

const integer = (value: number, minimum: number, maximum: number): TInteger =>
  Type.Integer({ default: value, minimum, maximum, allowed: `an integer from ${minimum} to ${maximum}` });

const duration = (value: string, faultOf?: FaultOf): TString =>
  Type.String({ default: value, pattern: DURATION, allowed: 'digits and ms, s, m, h or d, as in "10s"', faultOf });

const oneOf = <T extends string>(value: T, choices: readonly T[]): TUnsafe<T> =>
  Type.Unsafe<T>(Type.String({ default: value, pattern: `^(${choices.join("|")})$`, allowed: listed(choices) }));

const choice = <T extends string>(...choices: readonly T[]) =>
  Type.Optional(Type.Unsafe<T>(Type.String({ pattern: `^(${choices.join("|")})$`, allowed: listed(choices) })));

const listed = (choices: readonly string[]): string => choices.map((one) => `"${one}"`).join(", ");

const closed = { additionalProperties: false } as const;
const table = { ...closed, default: {}, allowed: "a table" } as const;

const MAX_BYTES = 2 ** 30;
const MAX_COUNT = 1_000_000_000;
/** Far above the cores of any machine. */
const MAX_WORKERS = 1024;
/** The limit on messages that a channel keeps: one client may get all of them at once. */
const MAX_KEPT = 10_000;

const kind = Type.Object(
  {
    path: Type.String({ allowed: "a path of segments, each plain text or one {value}" }),
    name: Type.Optional(Type.String({ minLength: 1, allowed: "the Redis channel, a text that is not empty" })),
    params: Type.Optional(
      Type.Record(Type.String(), Type.String({ allowed: '"integer" or a regular expression' }), { allowed: "a table of values" }),
    ),
    envelope: Type.Optional(Type.String({ minLength: 1, allowed: "a text with $data, $json, $sender or $time" })),
    on_gap: Type.Optional(oneOf<OnGap>("close", ["close", "ignore"])),
    history: Type.Optional(
      Type.Object(
        {
          size: integer(100, 1, MAX_KEPT),
          ttl: duration("10m", positiveDurationFault),
        },
        { ...closed, allowed: 'a table as in { size = 100, ttl = "10m" }' },
      ),
    ),
    presence: Type.Optional(Type.Boolean({ allowed: "true or false" })),
    access: choice<Access>("open", "token"),
    publish: choice<PublishRule>("open", "token", "key"),
    owner: Type.Optional(Type.String({ allowed: "a value of the path, without braces" })),
  },
  { ...closed, allowed: "a table" },
);

const broadcast = Type.Object(
  {
    path: Type.String({ allowed: "the path of a channel" }),
    pattern: Type.String({ allowed: 'cron with seconds, six fields as in "*/5 * * * * *"', faultOf: cronFault }),
    message: Type.String({ allowed: "a text" }),
  },
  { ...closed, allowed: "a table" },
);

export const settingsSchema = Type.Object(
  {
    server: Type.Object(
      {
        host: Type.String({ default: "0.0.0.0", minLength: 1, allowed: "an address to listen on", faultOf: hostFault }),
        port: integer(9001, 0, 65535),
        workers: integer(1, 1, MAX_WORKERS),
        origins: texts("origins as browsers send them", originFault),
        trusted_proxies: texts("addresses or CIDRs", networkFault),
        timezone: text("", 'an IANA time zone, as in "Asia/Shanghai"', timezoneFault),
        drain_timeout: duration("10s"),
        ping_interval: duration("25s", positiveDurationFault),
      },
      table,
    ),
    redis: Type.Object(
      {
        url: text("", "redis://host:port or rediss://host:port, with credentials, without database", redisUrlFault),
        prefix: text("", "a text", redisPrefixFault),
      },
      table,
    ),
    auth: Type.Object(
      {
        jwt_secret: text(""),
        public_key: text("", "a text", publicKeyFault),
        jwks_url: text("", "a text", jwksUrlFault),
        api_key: text("", "a text", apiKeyFault),
      },
      table,
    ),
    log: Type.Object({ level: oneOf<LogLevel>("info", logLevels), format: oneOf<LogFormat>("json", ["json", "pretty"]) }, table),
    limits: Type.Object(
      {
        max_message_bytes: integer(65_536, 1, MAX_BYTES),
        messages_per_second: integer(1000, 0, MAX_COUNT),
        max_connections: integer(0, 0, MAX_COUNT),
        max_connections_per_ip: integer(0, 0, MAX_COUNT),
        slow_consumer_bytes: integer(1_048_576, 1, MAX_BYTES),
        publish_queue: integer(10_000, 0, MAX_COUNT),
        publish_queue_bytes: integer(67_108_864, 0, 2 ** 40),
        publish_timeout: duration("5s", positiveDurationFault),
      },
      table,
    ),
    channels: Type.Optional(Type.Array(kind, { allowed: "tables [[channels]]" })),
    broadcasts: Type.Optional(Type.Array(broadcast, { allowed: "tables [[broadcasts]]" })),
  },
  closed,
);

export type Settings = Static<typeof settingsSchema>;
