import { button, element, revealedNodes } from "../element.ts";
import { copyButton } from "../text/copy-button.ts";
import { clockOf, dateOf, hexDump, showBytes, showPosition } from "../text/display.ts";
import { prettyJson, type Piece } from "../text/pretty-json.ts";
import { revealedText } from "../text/revealed.ts";
import type { Texts } from "../text/texts.ts";
import type { Arrival, Mark } from "./entries.ts";

/** Most characters and lines of a text in its row; the details show the rest. */
const MAX_CHARACTERS = 400;
const MAX_LINES = 6;
/** Most tokens of JSON that get colours: each costs an element. */
const MAX_COLOURED = 4000;

export function markRow(mark: Mark, texts: Texts): HTMLElement {
  const words = element("span", "words");
  texts.put(words, "text", mark.word, ...(mark.values ?? []));
  const row = element("div", "mark", element("time", "", clockOf(mark.atMs)), words);
  row.dataset["tone"] = mark.tone;
  if (mark.code !== undefined) row.append(element("span", "code", String(mark.code)));
  return row;
}

/** Builds the row of a message. Its details are built when they are opened. */
export function messageRow(arrival: Arrival, texts: Texts, onToggle: (isOpen: boolean) => void): HTMLElement {
  const { data, atMs, position, own } = arrival;
  const text = element("span", "text");
  const opener = button("opener", () => toggle());
  opener.tabIndex = -1;
  opener.ariaExpanded = "false";
  texts.put(opener, "label", "row.details");
  fill(text, data, texts);
  const row = element("div", own ? "row own" : "row", element("time", "", clockOf(atMs)));
  if (position !== null) {
    const place = element("span", "at", position.slice(position.indexOf("-") + 1));
    place.title = position;
    row.append(place);
  }
  row.append(text, opener);
  if (own) texts.put(row, "hint", "row.own");
  let details: HTMLElement | undefined;
  const toggle = (): void => {
    if (details === undefined) {
      row.append((details = detailsOf(arrival, texts)));
    } else {
      details.remove();
      details = undefined;
    }
    opener.ariaExpanded = String(details !== undefined);
    onToggle(details !== undefined);
  };
  text.addEventListener("click", () => {
    // A click that ends a selection does not open the details.
    if (getSelection()?.isCollapsed !== false) toggle();
  });
  return row;
}

function fill(node: HTMLElement, data: string | ArrayBuffer, texts: Texts): void {
  if (typeof data !== "string") {
    node.append(note("row.binary", texts, showBytes(data.byteLength)));
    return;
  }
  if (data === "") node.append(note("row.empty", texts));
  const shown = cut(data);
  // Characters that reverse the direction must not affect the page's own words after them.
  node.append(element("bdi", "", ...revealedNodes(shown)));
  if (shown.length < data.length) node.append(note("row.all", texts, showBytes(new Blob([data]).size)));
}

function note(word: "row.binary" | "row.empty" | "row.all", texts: Texts, ...values: string[]): HTMLElement {
  const node = element("span", "note");
  texts.put(node, "text", word, ...values);
  return node;
}

function cut(text: string): string {
  let end = Math.min(text.length, MAX_CHARACTERS);
  let lines = 0;
  for (let index = text.indexOf("\n"); index !== -1 && index < end; index = text.indexOf("\n", index + 1)) {
    lines += 1;
    if (lines === MAX_LINES) end = index;
  }
  // Never cut a surrogate pair.
  if (end < text.length && /[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

function detailsOf({ data, atMs, position }: Arrival, texts: Texts): HTMLElement {
  const body = element("pre", "");
  body.tabIndex = 0;
  const facts = element("div", "meta");
  const size = typeof data === "string" ? new Blob([data]).size : data.byteLength;
  const came = element("span", "");
  texts.put(came, "text", "row.came", dateOf(atMs));
  const place = element("span", "position", position === null ? "" : showPosition(position));
  place.title = position ?? "";
  facts.append(came, place, element("span", "", showBytes(size)));
  // The copy has the text without escapes.
  let copied = typeof data === "string" ? data : hexDump(new Uint8Array(data));
  if (typeof data !== "string") body.append(copied);
  else {
    const pieces = prettyJson(data);
    if (pieces === undefined) body.append(...revealedNodes(data));
    else {
      const showPretty = (): void => {
        copied = pieces.map((piece) => piece.text).join("");
        if (pieces.length > MAX_COLOURED) body.textContent = revealedText(copied);
        else body.replaceChildren(...pieces.map(jsonNode));
      };
      const raw = button("quiet", () => {
        const isPretty = raw.ariaPressed !== "true";
        raw.ariaPressed = String(isPretty);
        if (!isPretty) return showPretty();
        copied = data;
        body.replaceChildren(...revealedNodes(data));
      });
      raw.ariaPressed = "false";
      texts.put(raw, "text", "row.raw");
      facts.append(raw);
      showPretty();
    }
  }
  facts.append(copyButton(body, texts, () => copied));
  return element("div", "details", facts, body);
}

/** Isolates the direction of each token. */
function jsonNode({ kind, text }: Piece): Node | string {
  return kind === "other" ? text : element("bdi", `json-${kind}`, ...revealedNodes(text));
}
