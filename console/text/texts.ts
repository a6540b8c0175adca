import { chinese } from "./chinese.ts";
import { english, type TextKey } from "./english.ts";
import { revealedText } from "./revealed.ts";

export type Language = "en" | "zh";

/** Attributes that can hold a text instead of the content. */
const ATTRIBUTES = { label: "aria-label", hint: "title", placeholder: "placeholder" } as const;
export type Place = "text" | keyof typeof ATTRIBUTES;

/**
 * Texts in the current language. Each node keeps the keys of its texts in data attributes, so that the whole page can change its
 * language at once.
 */
export class Texts {
  #language: Language;

  constructor(language: Language) {
    this.#language = language;
  }

  get language(): Language {
    return this.#language;
  }

  get(word: TextKey, values: readonly string[] = []): string {
    const text: string = (this.#language === "zh" ? chinese : english)[word];
    return text.replace(/\{(\d)\}/g, (_, index: string) => revealedText(values[Number(index)] ?? ""));
  }

  /** Sets a text on a node, as its content or as an attribute. */
  put(node: Element, place: Place, word: TextKey, ...values: string[]): void {
    node.setAttribute(`data-${place}`, word);
    if (values.length > 0) node.setAttribute(`data-${place}-values`, JSON.stringify(values));
    else node.removeAttribute(`data-${place}-values`);
    this.#write(node, place, this.get(word, values));
  }

  /** Changes the language of the whole page. */
  changeLanguage(language: Language, root: Document): void {
    this.#language = language;
    root.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    for (const place of ["text", "label", "hint", "placeholder"] as const) {
      for (const node of root.querySelectorAll(`[data-${place}]`)) {
        const values: unknown = JSON.parse(node.getAttribute(`data-${place}-values`) ?? "[]");
        const word = node.getAttribute(`data-${place}`) ?? "";
        if (isTextKey(word)) this.#write(node, place, this.get(word, Array.isArray(values) ? values.map(String) : []));
      }
    }
  }

  #write(node: Element, place: Place, text: string): void {
    if (place === "text") node.textContent = text;
    else node.setAttribute(ATTRIBUTES[place], text);
  }
}

function isTextKey(text: string): text is TextKey {
  return Object.hasOwn(english, text);
}
