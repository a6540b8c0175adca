const VALUE = /\{([A-Za-z_]\w*)\}/;

/**
 * How the channels of a kind are called on the bus: a template with the values of the path in it.
 *
 * A name with one value has it as it is. With several, `%` and `:` in them are percent-encoded, and where the text between two values
 * holds no ":", so is its first character that no encoding is made of. So no two lists of values make one name.
 */
export class ChannelName {
  /** Text at even places, the names of values at odd ones. */
  readonly #parts: readonly string[];
  /** Characters that are encoded in values. */
  readonly #encoded: ReadonlySet<string>;
  readonly #pattern: RegExp;

  constructor(template: string) {
    this.#parts = template.split(VALUE);
    const between = this.#parts.filter((_, index) => index % 2 === 0).slice(1, -1);
    this.#encoded = new Set(between.length === 0 ? [] : ["%", ":", ...between.map((text) => separatorOf(text) ?? "")]);
    const value =
      between.length === 0
        ? "(.+)"
        : `([^${[...this.#encoded]
            .filter((one) => one !== "%")
            .map((one) => RegExp.escape(one))
            .join("")}]+)`;
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

  /** How much of a name it says itself. */
  get weight(): number {
    return this.#texts.join("").length;
  }

  /** Whether nobody could tell where a value ends and the next one begins. */
  get isAmbiguous(): boolean {
    return this.#texts.slice(1, -1).some((text) => separatorOf(text) === undefined);
  }

  format(values: ReadonlyMap<string, string>): string {
    return this.#parts.map((part, index) => (index % 2 === 0 ? part : this.#encode(values.get(part) ?? ""))).join("");
  }

  /** The values that make this name, or undefined where none do. */
  parse(name: string): Map<string, string> | undefined {
    const found = this.#pattern.exec(name)?.slice(1);
    if (found === undefined) return undefined;
    const values = new Map(this.values.map((value, index) => [value, this.#decode(found[index] ?? "")]));
    // Not all that looks encoded was made here.
    return this.format(values) === name ? values : undefined;
  }

  #encode(value: string): string {
    if (this.#encoded.size === 0) return value;
    return Array.from(value, (one) => (this.#encoded.has(one) ? percentEncode(one) : one)).join("");
  }

  #decode(text: string): string {
    if (this.#encoded.size === 0) return text;
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  get #texts(): readonly string[] {
    return this.#parts.filter((_, index) => index % 2 === 0);
  }
}

/** The character of a text between two values that the values never hold. */
function separatorOf(text: string): string | undefined {
  return text.includes(":") ? ":" : Array.from(text).find((one) => !/[%0-9A-F]/.test(one));
}

/** RFC 3986 §2.1, of any character. */
function percentEncode(character: string): string {
  return Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
