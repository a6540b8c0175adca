import { element, revealedNodes } from "../element.ts";
import { showPosition } from "../text/display.ts";
import type { Texts } from "../text/texts.ts";
import type { Present } from "./presence.ts";

/** Most names shown; the others are only counted. */
const MAX_NAMES = 30;

/** The line below a channel's name: its members and its position. */
export class Facts {
  readonly node: HTMLElement;
  readonly #texts: Texts;
  readonly #here = element("span", "");
  readonly #names = element("span", "names");
  readonly #position = element("span", "position");

  constructor(texts: Texts) {
    this.#texts = texts;
    this.node = element("div", "facts", this.#here, this.#names, this.#position);
  }

  showPresent(present: Present | undefined): void {
    this.#names.replaceChildren();
    this.#here.replaceChildren();
    this.#names.title = "";
    if (present === undefined) return;
    this.#texts.put(this.#here, "text", "facts.here", String(present.count));
    const { members } = present;
    for (const { id, connections } of members.slice(0, MAX_NAMES)) {
      this.#names.append(element("bdi", "", ...(id === "" ? ["“”"] : revealedNodes(id))), connections > 1 ? ` ×${connections} ` : " ");
    }
    const named = members.reduce((sum, { connections }) => sum + connections, 0);
    if (members.length > MAX_NAMES) this.#count("facts.more", members.length - MAX_NAMES);
    if (named > 0 && present.count > named) this.#count("facts.anonymous", present.count - named);
    this.#names.title = this.#names.textContent;
  }

  /** @param history undefined until the server was asked */
  showPosition(position: string | null, history: boolean | undefined): void {
    this.#position.title = position ?? "";
    if (position !== null) this.#texts.put(this.#position, "text", "facts.position", showPosition(position));
    else if (history === false) this.#texts.put(this.#position, "text", "facts.noHistory");
    else this.#position.replaceChildren();
  }

  #count(word: "facts.more" | "facts.anonymous", count: number): void {
    const node = element("span", "");
    this.#texts.put(node, "text", word, String(count));
    this.#names.append(node);
  }
}
