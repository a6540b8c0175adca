import type { DocumentDecoration } from "elysia";
import type { FaultName } from "../../errors.ts";
import type { Parameter } from "./operation.ts";

/*
 * What the routes of a channel have in common.
 */

/** Where an example needs a position. */
export const EXAMPLE_POSITION = "k3j9x0a2-7";
/** A channel that has everything: history and presence. */
export const EXAMPLE_PATH = "rooms/lobby";
/** What an answer calls it. */
export const EXAMPLE_CHANNEL = "rooms:lobby";

export const positionSchema = { $ref: "#/components/schemas/Position" };
export const channelName = { type: "string", description: "The channel's name in Redis", example: EXAMPLE_CHANNEL } as const;

export const channelPath: Parameter = { $ref: "#/components/parameters/ChannelPath" };

/** Who may come with what; nothing is needed where the channel is open. */
export const channelAccess: NonNullable<DocumentDecoration["security"]> = [{}, { token: [] }, { tokenInQuery: [] }, { apiKey: [] }];

/** What the checks of every channel's route refuse. */
export const channelRefusals: readonly FaultName[] = ["malformed-path", "malformed-request", "no-channel", "unauthorized", "forbidden"];

/** A parameter that may be left out. */
export function optional(place: "query" | "header", name: string, description: string, schema: object, example: unknown): Parameter {
  return { in: place, name, description, schema, example };
}

/** `recent`, of those that join. */
export const recent = optional(
  "query",
  "recent",
  "First replays up to the last so many messages. 400 on a channel without history.",
  { type: "integer", minimum: 0, maximum: 999_999_999 },
  10,
);
