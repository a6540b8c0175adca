import { Problem } from "../../errors.ts";
import { describeError } from "../../log.ts";
import type { Tick } from "../ticks.ts";
import { keptMs } from "./append-call.ts";
import type { ShardContext } from "./context.ts";
import { encodeEntry } from "./frame.ts";
import { tickScript } from "./scripts.ts";

const TICK_TTL_MS = 24 * 3600 * 1000;

/** Claims a tick in Redis, see lua/tick.lua and `Ticks.claim`. */
export async function claimTick(context: ShardContext, tick: Tick): Promise<boolean> {
  if (!context.ready) throw new Problem("bus-away", "The bus is away.");
  const { schedule, channel, retention, dueMs, periodMs, text } = tick;
  const keys = context.keys(channel);
  const expected = context.losses.expectedByAppend(channel);
  const claim = [dueMs, periodMs, TICK_TTL_MS, context.nameOf(channel), context.freshEpoch(), ...expected];
  try {
    const answer =
      retention === undefined
        ? await context.publisher.run(tickScript, [keys.tick(schedule)], [...claim, 0, 0, text])
        : await context.publisher.run(
            tickScript,
            [keys.tick(schedule), keys.head, keys.log],
            [...claim, retention.size, keptMs(retention), encodeEntry(text)],
          );
    return answer === 1;
  } catch (error) {
    throw new Problem("not-confirmed", `The bus did not confirm the tick: ${describeError(error)}`);
  }
}
