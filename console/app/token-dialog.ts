import { isToken } from "../../client/index.ts";
import { byId } from "../element.ts";
import { isSendable, readToken, trimToken } from "../net/token.ts";
import { dateOf } from "../text/display.ts";
import type { Texts } from "../text/texts.ts";

/** Asks for a token. Only the page's memory holds it. */
export class TokenDialog {
  readonly #dialog = byId("token-dialog", HTMLDialogElement);
  readonly #field = byId("token-field", HTMLInputElement);
  readonly #says = byId("token-says", HTMLElement);
  readonly #opener = byId("token-open", HTMLButtonElement);
  readonly #forget = byId("token-forget", HTMLButtonElement);
  readonly #texts: Texts;
  readonly #use: (token: string) => void;
  #token = "";

  constructor(texts: Texts, use: (token: string) => void) {
    this.#texts = texts;
    this.#use = use;
    this.#opener.addEventListener("click", () => this.open());
    this.#field.addEventListener("input", () => this.#describe());
    this.#forget.addEventListener("click", () => this.#take(""));
    byId("token-cancel", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
    byId("token-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const token = trimToken(this.#field.value);
      if (token === "" || isSendable(token)) this.#take(token);
      else this.#field.select();
    });
  }

  open(): void {
    this.#field.value = this.#token;
    this.#forget.hidden = this.#token === "";
    this.#describe();
    this.#dialog.showModal();
    this.#field.select();
  }

  #take(token: string): void {
    const isOther = token !== this.#token;
    this.#token = token;
    this.#field.value = "";
    this.#dialog.close();
    this.#opener.dataset["has"] = String(token !== "");
    const sub = readToken(token)?.sub;
    if (sub === undefined) this.#texts.put(this.#opener, "text", "bar.token");
    else this.#texts.put(this.#opener, "text", "bar.tokenOf", sub.slice(0, 24));
    if (isOther || token !== "") this.#use(token);
  }

  #describe(): void {
    const token = trimToken(this.#field.value);
    const says = isToken(token) ? readToken(token) : undefined;
    this.#says.dataset["tone"] = "bad";
    if (token === "") this.#texts.put(this.#says, "text", "token.text");
    else if (!isSendable(token)) this.#texts.put(this.#says, "text", "token.unsendable");
    else if (says === undefined) this.#texts.put(this.#says, "text", "token.unlike");
    else if (says.expiresMs !== undefined && says.expiresMs < Date.now()) this.#texts.put(this.#says, "text", "token.expired");
    else {
      const name = says.sub ?? this.#texts.get("token.nobody");
      const until = says.expiresMs === undefined ? this.#texts.get("token.never") : dateOf(says.expiresMs).slice(0, 19);
      this.#texts.put(this.#says, "text", "token.says", name, until);
      this.#says.dataset["tone"] = "good";
    }
    if (token === "") this.#says.dataset["tone"] = "plain";
  }
}
