import { describe, expect, test } from "bun:test";
import { Evidence } from "../src/bus/evidence.ts";

const MIN_CHANNELS = 20_000;

/** Sees a message of so many other channels. */
function crowd(evidence: Evidence, count: number): void {
  for (let index = 0; index < count; index += 1) evidence.saw(`channel-${index}`, "other1", 1, 1);
}

describe("what an instance has seen of logs", () => {
  test("is the newest entry of the newest epoch, whatever comes late", () => {
    const evidence = new Evidence(() => 1);
    expect(evidence.of("a")).toEqual(["", 0, ""]);
    evidence.saw("a", "epoch1", 7, 70);
    evidence.saw("a", "epoch1", 6, 60);
    evidence.saw("a", "epoch1", 7, 71);
    expect(evidence.of("a")).toEqual(["epoch1", 7, 70]);
    evidence.saw("a", "epoch2", 1, 80);
    expect(evidence.of("a")).toEqual(["epoch2", 1, 80]);
    expect(evidence.brief("a")).toEqual(["epoch2", 1, ""]);
  });

  test("stays in doubt after a loss as it was then, until it was shown", () => {
    const evidence = new Evidence(() => 1);
    evidence.about("nothing");
    evidence.saw("a", "epoch1", 7, 70);
    evidence.doubt();
    const doubted = evidence.doubted("a");
    expect(evidence.inDoubt).toEqual(["a"]);
    evidence.saw("a", "epoch1", 8, 80);
    // Lost again before anything was shown.
    evidence.doubt();
    for (const check of [evidence.of("a"), evidence.brief("a")]) expect(check).toEqual(["epoch1", 7, 70]);
    evidence.trust("a", doubted);
    expect(evidence.of("a")).toEqual(["epoch1", 8, 80]);
    evidence.doubt();
    // What was shown of an earlier loss says nothing of this one.
    evidence.trust("a", doubted);
    expect(evidence.doubted("a")).toMatchObject({ offset: 8 });
  });

  test("knows of what this instance has written whether it was heard, under whichever stamp, until it writes something else", () => {
    const evidence = new Evidence(() => 1);
    const seen = evidence.about("a");
    evidence.wrote(seen, 70, false);
    for (const stamp of [80, 90]) evidence.wrote(seen, stamp, true);
    evidence.heard(seen, "epoch1", 1, 60);
    expect(seen.heardEpoch).toBe("");
    for (const [offset, stamp] of [
      [2, 70],
      [3, 80],
      [4, 90],
    ] as const) {
      evidence.heard(seen, "epoch1", offset, stamp);
      expect([seen.heardEpoch, seen.heardOffset]).toEqual(["epoch1", offset]);
    }
    evidence.wrote(seen, 100, false);
    expect(seen.heardEpoch).toBe("");
    evidence.heard(seen, "epoch1", 5, 90);
    expect(seen.heardEpoch).toBe("");
  });

  test("makes room for others where nothing came for longest, and says so to who keeps it", () => {
    const evidence = new Evidence(() => 1);
    const [busy, idle] = ["busy", "idle"].map((channel) => {
      evidence.saw(channel, "epoch1", 1, 1);
      return evidence.about(channel);
    });
    if (idle === undefined || busy === undefined) throw new Error("nothing was seen");
    crowd(evidence, MIN_CHANNELS - 2);
    expect([idle.isForgotten, busy.isForgotten]).toEqual([false, false]);
    evidence.note(busy, "epoch1", 2, 2);
    evidence.saw("one more", "epoch1", 1, 1);
    expect([idle.isForgotten, busy.isForgotten]).toEqual([true, false]);
    expect(evidence.about("busy")).toBe(busy);
    evidence.note(idle, "epoch1", 2, 2);
    expect(evidence.of("idle")).toEqual(["", 0, ""]);
    const anew = evidence.about("idle");
    expect(anew).not.toBe(idle);
    evidence.note(idle, "epoch1", 3, 3);
    expect(evidence.about("idle")).toBe(anew);
    evidence.doubt();
    expect(evidence.inDoubt.length).toBe(MIN_CHANNELS - 1);
  });

  test("makes room also where something came to all, once for each look", () => {
    const evidence = new Evidence(() => 1);
    for (const offset of [1, 2]) for (let index = 0; index < MIN_CHANNELS; index += 1) evidence.saw(`a${index}`, "epoch1", offset, offset);
    evidence.saw("one more", "epoch1", 1, 1);
    expect([evidence.of("a0"), evidence.of("a1")]).toEqual([
      ["", 0, ""],
      ["epoch1", 2, 2],
    ]);
    evidence.saw("a2", "epoch1", 3, 3);
    evidence.saw("and one", "epoch1", 1, 1);
    evidence.saw("and another", "epoch1", 1, 1);
    expect(["a1", "a2", "a3"].map((channel) => evidence.of(channel)[1])).toEqual([0, 3, 0]);
  });

  test("is kept of twice as many channels as are followed", () => {
    const evidence = new Evidence(() => MIN_CHANNELS);
    evidence.saw("first", "epoch1", 1, 1);
    crowd(evidence, 2 * MIN_CHANNELS - 1);
    expect(evidence.of("first")).toEqual(["epoch1", 1, 1]);
    evidence.saw("one more", "epoch1", 1, 1);
    expect(evidence.of("first")).toEqual(["", 0, ""]);
  });
});
