const VALUE = /\{([A-Za-z_]\w*)\}/;

/**
 * How the channels of a kind are called on the bus: a template with the values of the path in it.
 *
 * A name with several values has `%` and `:` in them percent-encoded: a ":" inside one could stand for the ":" between them, and
 * two paths would share a channel. A name with one value has it as it is.
 */
export class ChannelName {
  /** Text at even places, the names of values at odd ones. */
  readonly #parts: readonly string[];
  readonly #pattern: RegExp;

  constructor(template: string) {
    this.#parts = template.split(VALUE);
    const value = this.#isEncoded ? "[^:]+" : ".+";
    this.#pattern = new RegExp(`^${this.#parts.map((part, index) => (index % 2 === 0 ? RegExp.escape(part) : value)).join("")}$`, "su");
  }

  /** The values that the template names, each as often as it does. */
  get values(): readonly string[] {
    return this.#parts.filter((_, index) => index % 2 === 1);
  }

  /** What it calls channels, whatever it calls its values: kinds where this is equal share channels. */
  get shape(): string {
    return this.#texts.join("{}");
  }

  format(values: ReadonlyMap<string, string>): string {
    return this.#parts
      .map((part, index) => {
        if (index % 2 === 0) return part;
        const value = values.get(part) ?? "";
        return this.#isEncoded ? value.replaceAll("%", "%25").replaceAll(":", "%3A") : value;
      })
      .join("");
  }

  /**
   * Whether a channel that another kind calls `name` is of this one, which says more of the name itself: with `{a}` and
   * `rooms:{b}`, the value `rooms:x` would enter a room without being asked for the rights that rooms ask for.
   */
  claims(name: string, other: ChannelName): boolean {
    return this.shape !== other.shape && this.#texts.join("").length > other.#texts.join("").length && this.#pattern.test(name);
  }

  get #texts(): readonly string[] {
    return this.#parts.filter((_, index) => index % 2 === 0);
  }

  get #isEncoded(): boolean {
    return this.#parts.length > 3;
  }
}
