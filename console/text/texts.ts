import { chinese } from "./chinese.ts";
import { revealedText } from "./signs.ts";
import { english, type Word } from "./english.ts";

export type Tongue = "en" | "zh";

/** What stands in for text content where a word is put. */
const ATTRIBUTES = { label: "aria-label", hint: "title", placeholder: "placeholder" } as const;
export type Place = "text" | keyof typeof ATTRIBUTES;

/**
 * The texts in one language or another. A node remembers which words stand on it, in its data attributes, so that all of the page can
 * change its language at once.
 */
export class Texts {
  #tongue: Tongue;

  constructor(tongue: Tongue) {
    this.#tongue = tongue;
  }

  get tongue(): Tongue {
    return this.#tongue;
  }

  say(word: Word, values: readonly string[] = []): string {
    const text: string = (this.#tongue === "zh" ? chinese : english)[word];
    return text.replace(/\{(\d)\}/g, (_, index: string) => revealedText(values[Number(index)] ?? ""));
  }

  /** Puts a word on a node, as its text or one of its attributes. */
  put(node: Element, place: Place, word: Word, ...values: string[]): void {
    node.setAttribute(`data-${place}`, word);
    if (values.length > 0) node.setAttribute(`data-${place}-values`, JSON.stringify(values));
    else node.removeAttribute(`data-${place}-values`);
    this.#write(node, place, this.say(word, values));
  }

  /** Says all of a part of the page again, in this language. */
  speak(tongue: Tongue, root: Document): void {
    this.#tongue = tongue;
    root.documentElement.lang = tongue === "zh" ? "zh-CN" : "en";
    for (const place of ["text", "label", "hint", "placeholder"] as const) {
      for (const node of root.querySelectorAll(`[data-${place}]`)) {
        const values: unknown = JSON.parse(node.getAttribute(`data-${place}-values`) ?? "[]");
        const word = node.getAttribute(`data-${place}`) ?? "";
        if (isWord(word)) this.#write(node, place, this.say(word, Array.isArray(values) ? values.map(String) : []));
      }
    }
  }

  #write(node: Element, place: Place, text: string): void {
    if (place === "text") node.textContent = text;
    else node.setAttribute(ATTRIBUTES[place], text);
  }
}

function isWord(text: string): text is Word {
  return Object.hasOwn(english, text);
}
