import { element } from "../element.ts";
import { revealed } from "./signs.ts";

/** Beyond it escapes are not set off: each costs an element. */
const MAX_SET_OFF = 1000;

/** A text as nodes, with its unseen signs as escapes that are set off. */
export function revealedNodes(text: string): (Node | string)[] {
  const shown = revealed(text);
  if (shown.length > MAX_SET_OFF) return [shown.map((part) => part.text).join("")];
  return shown.map((part) => (part.escaped ? element("span", "sign", part.text) : part.text));
}
