import { describe, expect, test } from "bun:test";
import { IndexedBag, type Member } from "../src/lib/indexed-bag.ts";
import { randomNumbers } from "./support/random.ts";

interface Named extends Member {
  readonly name: number;
}

const member = (name: number): Named => ({ name, place: -1 });
const names = (crowd: IndexedBag<Named>): number[] => crowd.all.map(({ name }) => name).toSorted((a, b) => a - b);

describe("a crowd", () => {
  test("holds each member once, and lets each go once", () => {
    const crowd = new IndexedBag<Named>();
    const [a, b, c] = [member(1), member(2), member(3)];
    for (const one of [a, b, c, a]) crowd.add(one);
    expect([crowd.size, crowd.delete(a), crowd.delete(a), crowd.size]).toEqual([3, true, false, 2]);
    expect(names(crowd)).toEqual([2, 3]);
    expect(a.place).toBe(-1);
  });

  test("is not moved by a member of another one", () => {
    const [crowd, other] = [new IndexedBag<Named>(), new IndexedBag<Named>()];
    const [a, b] = [member(1), member(2)];
    crowd.add(a);
    other.add(b);
    expect([crowd.delete(b), names(crowd), names(other)]).toEqual([false, [1], [2]]);
  });

  test("visits everybody who stays, whoever leaves meanwhile", () => {
    const random = randomNumbers();
    for (let round = 0; round < 500; round += 1) {
      const crowd = new IndexedBag<Named>();
      const members = Array.from({ length: 1 + random(12) }, (_, name) => member(name));
      for (const one of members) crowd.add(one);
      const visited = new Set<Named>();
      const gone = new Set<Named>();
      crowd.each((one) => {
        expect(gone.has(one)).toBe(false);
        visited.add(one);
        const leaver = members[random(members.length)];
        if (leaver === undefined || random(2) === 0) return;
        expect(crowd.delete(leaver)).toBe(!gone.has(leaver));
        gone.add(leaver);
      });
      for (const one of members) expect(visited.has(one) || gone.has(one)).toBe(true);
      expect(crowd.size).toBe(members.length - gone.size);
    }
  });
});
