/** Sub-buckets of each octave: what is read from it is at most 1/64 off. */
const FINE = 64;
const FINE_BITS = 6;

/** Durations in microseconds, in buckets that grow with them, as an HDR histogram's do. */
export class Histogram {
  readonly #counts = new Uint32Array(FINE * 27);
  #total = 0;

  add(us: number): void {
    const index = indexOf(us < 0 ? 0 : us);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#total += 1;
  }

  /** The value that a share of all does not exceed; NaN where nothing was added. */
  quantile(share: number): number {
    if (this.#total === 0) return Number.NaN;
    let left = Math.ceil(this.#total * share);
    for (let index = 0; index < this.#counts.length; index += 1) {
      left -= this.#counts[index] ?? 0;
      if (left <= 0) return valueOf(index);
    }
    return Number.NaN;
  }
}

function indexOf(us: number): number {
  if (us < FINE) return us | 0;
  const exponent = 31 - Math.clz32(us);
  return (exponent - FINE_BITS + 1) * FINE + ((us >> (exponent - FINE_BITS)) & (FINE - 1));
}

function valueOf(index: number): number {
  if (index < FINE) return index;
  const exponent = Math.floor(index / FINE) + FINE_BITS - 1;
  return 2 ** exponent + (index % FINE) * 2 ** (exponent - FINE_BITS);
}
