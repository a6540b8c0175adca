const VALUE = /\{([A-Za-z_]\w*)\}/;

/**
 * The names of a kind's channels on the bus: a template with the values of the path in it.
 *
 * A name with one value holds it unchanged. In a name with several values, `%` and `:` in them are percent-encoded. If the text between
 * two values holds no ":", its first character that percent-encoding does not use is encoded too. So no two lists of values make one
 * name.
 */
export class ChannelName {
  /** Text at even indexes, the names of values at odd ones. */
  readonly #parts: readonly string[];
  /** The characters that are encoded in values. */
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

  /** The names of a kind's channels. The default is its path with ":" for "/". */
  static of({ name, path }: { readonly name?: string | undefined; readonly path: string }): ChannelName {
    return new ChannelName(name ?? path.replaceAll("/", ":"));
  }

  /** The names of its values, each as often as the template holds it. */
  get values(): readonly string[] {
    return this.#parts.filter((_, index) => index % 2 === 1);
  }

  /** The template without the names of its values. Kinds of equal shape share their channels. */
  get shape(): string {
    return this.#texts.join("{}");
  }

  /** The number of literal characters. */
  get weight(): number {
    return this.#texts.join("").length;
  }

  /** A name does not tell where one value ends and the next one begins. */
  get isAmbiguous(): boolean {
    return this.#texts.slice(1, -1).some((text) => separatorOf(text) === undefined);
  }

  format(values: ReadonlyMap<string, string>): string {
    return this.#parts.map((part, index) => (index % 2 === 0 ? part : this.#encode(values.get(part) ?? ""))).join("");
  }

  /** The values that make this name, or undefined if none do. */
  parse(name: string): Map<string, string> | undefined {
    const found = this.#pattern.exec(name)?.slice(1);
    if (found === undefined) return undefined;
    const values = new Map(this.values.map((value, index) => [value, this.#decode(found[index] ?? "")]));
    // A foreign name may encode what format() leaves as it is.
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

/** The character of a text between two values that is encoded in values. */
function separatorOf(text: string): string | undefined {
  return text.includes(":") ? ":" : Array.from(text).find((one) => !/[%0-9A-F]/.test(one));
}

/** Percent-encodes any character (RFC 3986 §2.1). */
function percentEncode(character: string): string {
  return Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
