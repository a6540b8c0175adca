import { describe, expect, test } from "bun:test";
import { Evidence } from "../src/bus/evidence.ts";

const MAX_CHANNELS = 20_000;

/** Sees a message of so many other channels. */
function crowd(evidence: Evidence, count: number): void {
  for (let index = 0; index < count; index += 1) evidence.saw(`channel-${index}`, "other1", 1, 1);
}

describe("what an instance has seen of logs", () => {
  test("is the newest entry of the newest epoch, whatever comes late", () => {
    const evidence = new Evidence();
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
    const evidence = new Evidence();
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

  test("makes room for others where nothing came for longest, and says so to who keeps it", () => {
    const evidence = new Evidence();
    const [busy, idle] = ["busy", "idle"].map((channel) => {
      evidence.saw(channel, "epoch1", 1, 1);
      return evidence.about(channel);
    });
    if (idle === undefined || busy === undefined) throw new Error("nothing was seen");
    crowd(evidence, MAX_CHANNELS - 2);
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
    expect(evidence.inDoubt.length).toBe(MAX_CHANNELS - 1);
  });
});
