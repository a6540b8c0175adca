/** A small generator of numbers from a seed (mulberry32), so that a failure can be run again with LOCKSTEP_TEST_SEED. */
export function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Numbers below a bound, in an order that the printed seed brings back. */
export function randomNumbers(): (below: number) => number {
  const seed = Number(process.env["LOCKSTEP_TEST_SEED"] ?? Date.now() % 1_000_000);
  process.stdout.write(`seed ${seed}\n`);
  return numbersFrom(seed);
}
