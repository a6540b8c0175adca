import type { BrowserEnd, State } from "../../client/index.ts";
import { button, element, revealedNodes } from "../element.ts";
import { quotePattern } from "../net/channel-path.ts";
import type { Reason } from "../net/reason.ts";
import { copyButton } from "../text/copy-button.ts";
import type { Texts } from "../text/texts.ts";

export interface StripActions {
  readonly connect: () => void;
  readonly askToken: () => void;
}

/** The notice above the messages while there is no connection: why, when the next attempt comes, and what the reader can do. */
export class Strip {
  readonly node: HTMLElement;
  readonly #path: string;
  readonly #texts: Texts;
  readonly #actions: StripActions;
  readonly #countdown = element("span", "countdown");
  #dueMs: number | undefined;

  constructor(path: string, texts: Texts, actions: StripActions) {
    this.#path = path;
    this.#texts = texts;
    this.#actions = actions;
    this.node = element("div", "strip");
    this.node.hidden = true;
  }

  show(state: State<BrowserEnd>, reason: Reason | undefined): void {
    this.#dueMs = state.at === "waiting" ? state.dueMs : undefined;
    // The last reason stays during the next attempt, so that nothing flickers.
    if (state.at === "connecting") return;
    this.node.hidden = state.at === "open";
    if (reason === undefined) return;
    this.node.dataset["tone"] = reason.word === "closed.here" ? "plain" : state.at === "waiting" ? "warn" : "bad";
    this.node.replaceChildren(this.#words(reason), this.#buttons(state, reason));
    if (reason.asksToken === true) this.node.append(this.#advice());
    this.tick(Date.now());
  }

  tick(nowMs: number): void {
    if (this.#dueMs === undefined) this.#countdown.replaceChildren();
    else this.#texts.put(this.#countdown, "text", "strip.again", String(Math.max(0, Math.ceil((this.#dueMs - nowMs) / 1000))));
  }

  #words({ word, values = [], detail, code }: Reason): HTMLElement {
    const why = element("span", "why");
    this.#texts.put(why, "text", word, ...values);
    const words = element("p", "", why);
    words.role = "status";
    if (code !== undefined && code !== 1006) {
      const number = element("span", "code");
      this.#texts.put(number, "text", "strip.code", String(code));
      words.append(" ", number);
    }
    // The reason of some close codes is a position, which the marks show.
    if (detail !== undefined && detail !== "" && !(code !== undefined && /^\S+-\d+$/.test(detail))) {
      words.append(" ", element("span", "detail", ...revealedNodes(detail)));
    }
    return words;
  }

  #buttons(state: State<BrowserEnd>, { asksToken }: Reason): HTMLElement {
    const row = element("p", "actions");
    if (state.at === "waiting") row.append(this.#countdown);
    if (asksToken === true) row.append(this.#button("strip.token", this.#actions.askToken));
    row.append(this.#button(state.at === "waiting" ? "strip.now" : "strip.connect", this.#actions.connect));
    return row;
  }

  #button(word: "strip.token" | "strip.now" | "strip.connect", act: () => void): HTMLButtonElement {
    const node = button("", act);
    this.#texts.put(node, "text", word);
    return node;
  }

  #advice(): HTMLElement {
    const words = element("p", "");
    this.#texts.put(words, "text", "strip.make");
    const pattern = quotePattern(this.#path);
    const line = element("code", "", `lockstep token --sub alice --subscribe ${pattern} --publish ${pattern} --ttl 1h`);
    return element("div", "advice", words, element("p", "line", line, copyButton(line, this.#texts)));
  }
}
