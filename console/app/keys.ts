import { byId } from "../element.ts";
import type { Panels } from "./panels.ts";
import type { TokenDialog } from "./token-dialog.ts";

/** Handles single keys outside of text fields. Escape moves the focus from a field to the messages. */
export function listenForKeys(panels: Panels, tokens: TokenDialog): void {
  const help = byId("help", HTMLDialogElement);
  const acts: Readonly<Record<string, () => void>> = {
    "?": () => help.showModal(),
    "/": () => byId("channel", HTMLInputElement).select(),
    t: () => tokens.open(),
    p: () => panels.active?.togglePace(),
  };
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]") !== null) return;
    const isWriting = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
    if (key === "Escape" && isWriting) {
      panels.active?.focusLog();
      return;
    }
    if (isWriting) return;
    const panel = /^[1-9]$/.test(key) ? panels.all[Number(key) - 1] : undefined;
    const act = panel === undefined ? acts[key] : () => panel.focus();
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  byId("help-open", HTMLButtonElement).addEventListener("click", () => help.showModal());
  byId("help-close", HTMLButtonElement).addEventListener("click", () => help.close());
}
