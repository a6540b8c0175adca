import { describe, expect, test } from "bun:test";
import { IndexedBag, type Indexed } from "../../../src/lib/indexed-bag.ts";
import { randomNumbers } from "../../support/random.ts";

interface Named extends Indexed {
  readonly name: number;
}

const member = (name: number): Named => ({ name, index: -1 });
const names = (bag: IndexedBag<Named>): number[] => bag.all.map(({ name }) => name).toSorted((a, b) => a - b);

describe("a bag", () => {
  test("holds each member once, and lets each go once", () => {
    const bag = new IndexedBag<Named>();
    const [a, b, c] = [member(1), member(2), member(3)];
    for (const one of [a, b, c, a]) bag.add(one);
    expect([bag.size, bag.delete(a), bag.delete(a), bag.size]).toEqual([3, true, false, 2]);
    expect(names(bag)).toEqual([2, 3]);
    expect(a.index).toBe(-1);
  });

  test("is not moved by a member of another one", () => {
    const [bag, other] = [new IndexedBag<Named>(), new IndexedBag<Named>()];
    const [a, b] = [member(1), member(2)];
    bag.add(a);
    other.add(b);
    expect([bag.delete(b), names(bag), names(other)]).toEqual([false, [1], [2]]);
  });

  test("visits everybody who stays, whoever leaves meanwhile", () => {
    const random = randomNumbers();
    for (let round = 0; round < 500; round += 1) {
      const bag = new IndexedBag<Named>();
      const members = Array.from({ length: 1 + random(12) }, (_, name) => member(name));
      for (const one of members) bag.add(one);
      const visited = new Set<Named>();
      const gone = new Set<Named>();
      bag.each((one) => {
        expect(gone.has(one)).toBe(false);
        visited.add(one);
        const leaver = members[random(members.length)];
        if (leaver === undefined || random(2) === 0) return;
        expect(bag.delete(leaver)).toBe(!gone.has(leaver));
        gone.add(leaver);
      });
      for (const one of members) expect(visited.has(one) || gone.has(one)).toBe(true);
      expect(bag.size).toBe(members.length - gone.size);
    }
  });
});
