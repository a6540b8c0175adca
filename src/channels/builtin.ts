import type { KindSettings } from "./kind.ts";

/** A scheduled message as a configuration file writes it (contract §8, `[[broadcasts]]`). */
export interface BroadcastSettings {
  /** The path of a channel. */
  path: string;
  /** Cron with seconds: six fields. */
  pattern: string;
  /** `{time}` stands for YYYY-MM-DD HH:MM:SS. */
  message: string;
}

/** The kinds of a server whose configuration lists none. */
export const builtinKinds: readonly KindSettings[] = [
  { path: "ws_example_channel" },
  {
    path: "{user_id}",
    name: "ws_example_user_channel_{user_id}",
    params: { user_id: "integer" },
    envelope: '{"type": "user_event", "data": $data}',
  },
  { path: "rooms/{room}", history: { size: 100, ttl: "10m" }, presence: true },
];

export const builtinBroadcasts: readonly BroadcastSettings[] = [
  { path: "ws_example_channel", pattern: "*/5 * * * * *", message: "TODO 示例:当前时间(周期任务): {time}" },
];
