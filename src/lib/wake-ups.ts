/** Waits for one thing that others make true. A wait ends by a wake-up or at its deadline, and leaves nothing behind. */
export class WakeUps {
  #waiting: Set<() => void> | undefined;

  /** Resolves to true at the next `wake`, in its turn of the event loop; to false at the deadline, in milliseconds since 1970. */
  wait(deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting = (this.#waiting ??= new Set());
      const goOn = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(
        () => {
          waiting.delete(goOn);
          resolve(false);
        },
        Math.max(0, deadlineMs - Date.now()),
      );
      waiting.add(goOn);
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    for (const goOn of waiting) goOn();
  }
}
