/** Answers that are made while they are sent, for as long as that takes: an instance that drains waits for them. */
export class Answers {
  #count = 0;
  #onNone: (() => void)[] = [];

  /** One begins. Returns what its end has to call; a second time does nothing. */
  begin(): () => void {
    this.#count += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#count -= 1;
      if (this.#count > 0) return;
      for (const resolve of this.#onNone) resolve();
      this.#onNone = [];
    };
  }

  /** Resolves once there are none. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onNone.push(resolve);
    });
  }
}
