import { describe, expect, test } from "bun:test";
import { Heartbeat } from "../../../src/workers/worker-process.ts";

/** One whose process answers as long as it is told to. */
function watched({ isUp = true } = {}) {
  const process = { answers: true, asked: 0 };
  const heartbeat = new Heartbeat(() => {
    process.asked += 1;
    return process.answers ? Promise.resolve(true) : new Promise(() => undefined);
  });
  if (isUp) heartbeat.up();
  const turns = async (count: number, onTime = true): Promise<boolean[]> => {
    const hung: boolean[] = [];
    for (let index = 0; index < count; index += 1) {
      hung.push(heartbeat.tick(onTime));
      await Promise.resolve();
      await Promise.resolve();
    }
    return hung;
  };
  return { process, heartbeat, turns };
}

describe("a process", () => {
  test("that answers never hangs", async () => {
    const { turns } = watched();
    expect(await turns(100)).not.toContain(true);
  });

  test("that does not answer hangs after ten turns, and is asked once", async () => {
    const { process, turns } = watched();
    await turns(3);
    process.answers = false;
    const { asked } = process;
    expect((await turns(11)).indexOf(true)).toBe(10);
    expect(process.asked).toBe(asked + 1);
  });

  test("is not blamed for turns that came late, nor for those before", async () => {
    const { process, turns } = watched();
    process.answers = false;
    expect(await turns(9)).not.toContain(true);
    expect(await turns(50, false)).not.toContain(true);
    expect(await turns(9)).not.toContain(true);
    expect(await turns(1)).toEqual([true]);
  });

  test("may take a minute to come up", async () => {
    const { process, heartbeat, turns } = watched({ isUp: false });
    expect(await turns(59)).not.toContain(true);
    expect(process.asked).toBe(0);
    heartbeat.up();
    expect(await turns(50)).not.toContain(true);
    expect((await watched({ isUp: false }).turns(60)).indexOf(true)).toBe(59);
  });
});
