import { describe, expect, test } from "bun:test";
import { LossDetector } from "../../../../src/bus/redis/loss-detector.ts";

const MIN_CHANNELS = 20_000;

/** Sees a message of so many other channels. */
function crowd(losses: LossDetector, count: number): void {
  for (let index = 0; index < count; index += 1) losses.saw(losses.about(`channel-${index}`), "other1", 1, 1);
}

describe("what an instance has seen of logs", () => {
  test("is the newest entry of the newest epoch, whatever comes late", () => {
    const losses = new LossDetector(() => 1);
    expect(losses.expectedByRead("a")).toEqual(["", 0, ""]);
    losses.saw(losses.about("a"), "epoch1", 7, 70);
    losses.saw(losses.about("a"), "epoch1", 6, 60);
    losses.saw(losses.about("a"), "epoch1", 7, 71);
    expect(losses.expectedByRead("a")).toEqual(["epoch1", 7, 70]);
    losses.saw(losses.about("a"), "epoch2", 1, 80);
    expect(losses.expectedByRead("a")).toEqual(["epoch2", 1, 80]);
    expect(losses.expectedByAppend("a")).toEqual(["epoch2", 1, ""]);
  });

  test("stays unproven after a loss as it was then, until Redis has shown it", () => {
    const losses = new LossDetector(() => 1);
    losses.about("nothing");
    losses.saw(losses.about("a"), "epoch1", 7, 70);
    losses.connectionLost();
    const unproven = losses.unproven("a");
    expect(losses.unprovenChannels).toEqual(["a"]);
    losses.saw(losses.about("a"), "epoch1", 8, 80);
    // Lost again before anything was shown.
    losses.connectionLost();
    for (const check of [losses.expectedByRead("a"), losses.expectedByAppend("a")]) expect(check).toEqual(["epoch1", 7, 70]);
    losses.proven("a", unproven);
    expect(losses.expectedByRead("a")).toEqual(["epoch1", 8, 80]);
    losses.connectionLost();
    // What was shown of an earlier loss says nothing of this one.
    losses.proven("a", unproven);
    expect(losses.unproven("a")).toMatchObject({ offset: 8 });
  });

  test("knows of what this instance has written whether it was heard, under whichever checkpoint, until it writes something else", () => {
    const losses = new LossDetector(() => 1);
    const seen = losses.about("a");
    losses.wrote(seen, 70, false);
    for (const checkpoint of [80, 90]) losses.wrote(seen, checkpoint, true);
    losses.heard(seen, "epoch1", 1, 60);
    expect(seen.heardEpoch).toBe("");
    for (const [offset, checkpoint] of [
      [2, 70],
      [3, 80],
      [4, 90],
    ] as const) {
      losses.heard(seen, "epoch1", offset, checkpoint);
      expect([seen.heardEpoch, seen.heardOffset]).toEqual(["epoch1", offset]);
    }
    losses.wrote(seen, 100, false);
    expect(seen.heardEpoch).toBe("");
    losses.heard(seen, "epoch1", 5, 90);
    expect(seen.heardEpoch).toBe("");
  });

  test("makes room for others where nothing came for longest, and says so to who keeps it", () => {
    const losses = new LossDetector(() => 1);
    const [busy, idle] = ["busy", "idle"].map((channel) => {
      losses.saw(losses.about(channel), "epoch1", 1, 1);
      return losses.about(channel);
    });
    if (idle === undefined || busy === undefined) throw new Error("nothing was seen");
    crowd(losses, MIN_CHANNELS - 2);
    expect([idle.isEvicted, busy.isEvicted]).toEqual([false, false]);
    losses.saw(busy, "epoch1", 2, 2);
    losses.saw(losses.about("one more"), "epoch1", 1, 1);
    expect([idle.isEvicted, busy.isEvicted]).toEqual([true, false]);
    expect(losses.about("busy")).toBe(busy);
    losses.saw(idle, "epoch1", 2, 2);
    expect(losses.expectedByRead("idle")).toEqual(["", 0, ""]);
    const anew = losses.about("idle");
    expect(anew).not.toBe(idle);
    losses.saw(idle, "epoch1", 3, 3);
    expect(losses.about("idle")).toBe(anew);
    losses.connectionLost();
    expect(losses.unprovenChannels.length).toBe(MIN_CHANNELS - 1);
  });

  test("makes room also where something came to all, once for each look", () => {
    const losses = new LossDetector(() => 1);
    for (const offset of [1, 2])
      for (let index = 0; index < MIN_CHANNELS; index += 1) losses.saw(losses.about(`a${index}`), "epoch1", offset, offset);
    losses.saw(losses.about("one more"), "epoch1", 1, 1);
    expect([losses.expectedByRead("a0"), losses.expectedByRead("a1")]).toEqual([
      ["", 0, ""],
      ["epoch1", 2, 2],
    ]);
    losses.saw(losses.about("a2"), "epoch1", 3, 3);
    losses.saw(losses.about("and one"), "epoch1", 1, 1);
    losses.saw(losses.about("and another"), "epoch1", 1, 1);
    expect(["a1", "a2", "a3"].map((channel) => losses.expectedByRead(channel)[1])).toEqual([0, 3, 0]);
  });

  test("is kept of twice as many channels as are followed", () => {
    const losses = new LossDetector(() => MIN_CHANNELS);
    losses.saw(losses.about("first"), "epoch1", 1, 1);
    crowd(losses, 2 * MIN_CHANNELS - 1);
    expect(losses.expectedByRead("first")).toEqual(["epoch1", 1, 1]);
    losses.saw(losses.about("one more"), "epoch1", 1, 1);
    expect(losses.expectedByRead("first")).toEqual(["", 0, ""]);
  });
});
