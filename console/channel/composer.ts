import { element, icon } from "../element.ts";
import { showBytes } from "../text/display.ts";
import type { Texts } from "../text/texts.ts";

/** Messages of this size or more have their size shown. */
const SHOWN_BYTES = 1024;

/** The field for a message. Enter sends, Shift+Enter breaks the line. */
export class Composer {
  readonly node: HTMLFormElement;
  readonly #field = element("textarea", "");
  readonly #size = element("span", "size");
  readonly #button: HTMLButtonElement;
  readonly #send: (text: string) => boolean;
  #last = "";
  #open = false;

  /** @param send returns true if it took the text; otherwise the text stays in the field */
  constructor(name: string, texts: Texts, send: (text: string) => boolean) {
    this.#send = send;
    this.#field.rows = 1;
    this.#field.spellcheck = false;
    this.#field.autocomplete = "off";
    texts.put(this.#field, "label", "send.label", name);
    texts.put(this.#field, "placeholder", "send.hint");
    this.#button = element("button", "send", icon("send"));
    texts.put(this.#button, "label", "send.do");
    texts.put(this.#button, "hint", "send.do");
    this.node = element("form", "composer", this.#field, this.#size, this.#button);
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.#field.addEventListener("input", () => this.#changed());
    this.#changed();
  }

  focus(): void {
    this.#field.focus();
  }

  set open(open: boolean) {
    this.#open = open;
    this.#changed();
  }

  /** Puts a text back into the field if that is empty. */
  restore(text: string): void {
    if (this.#field.value === "") this.#write(text);
  }

  #submit(): void {
    const text = this.#field.value;
    if (text === "" || !this.#send(text)) return;
    this.#last = text;
    this.#write("");
  }

  #pressed(event: KeyboardEvent): void {
    // An input method ends a word with Enter (229 in Safari).
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && this.#field.value === "" && this.#last !== "") {
      event.preventDefault();
      this.#write(this.#last);
    }
  }

  #write(text: string): void {
    this.#field.value = text;
    this.#changed();
  }

  #changed(): void {
    const { value } = this.#field;
    const bytes = value.length > SHOWN_BYTES / 4 ? new Blob([value]).size : 0;
    this.#size.textContent = bytes >= SHOWN_BYTES ? showBytes(bytes) : "";
    this.#button.disabled = !this.#open || value === "";
  }
}
