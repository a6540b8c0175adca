/** A scroll so soon after an act of the reader is part of it, in milliseconds. */
const ACT_MS = 1000;

/** Remembers what the reader last did to a list with wheel, finger, mouse or key, which tells their scrolls from those of the layout. */
export class ReaderActs {
  /** Time of the last act; infinite while a mouse button is down on the scroll bar. */
  #actedMs = Number.NEGATIVE_INFINITY;
  #goesBack = false;

  constructor(list: HTMLElement) {
    list.addEventListener("touchmove", () => this.add(false), { passive: true });
    list.addEventListener("pointerdown", () => this.#press());
  }

  get isRecent(): boolean {
    return performance.now() - this.#actedMs < ACT_MS;
  }

  /** The last act went back, so that a scroll to the end that still arrives belongs to an act before it. */
  get goesBack(): boolean {
    return this.#goesBack;
  }

  add(goesBack: boolean, actedMs = performance.now()): void {
    this.#actedMs = actedMs;
    this.#goesBack = goesBack;
  }

  /** The button may be released anywhere. A listener on the page that stayed longer would keep a closed channel in memory. */
  #press(): void {
    this.add(false, Number.POSITIVE_INFINITY);
    const pressed = new AbortController();
    const release = (): void => {
      this.#actedMs = performance.now();
      pressed.abort();
    };
    for (const end of ["pointerup", "pointercancel"] as const) addEventListener(end, release, { signal: pressed.signal });
  }
}
