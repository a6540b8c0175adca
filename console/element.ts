import { revealed } from "./text/revealed.ts";

/** Creates an element with a class and children. Strings become text nodes: nothing on this page is ever parsed as markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (className !== "") node.className = className;
  node.append(...children);
  return node;
}

/** Creates a button that submits nothing. */
export function button(className: string, onClick: () => void, ...children: (Node | string)[]): HTMLButtonElement {
  const node = element("button", className, ...children);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

/** Finds an element of index.html. */
export function byId<T extends Element>(id: string, kind: abstract new () => T): T {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`the page has no ${id}`);
  return node;
}

/** Paths on a field of 16 by 16. */
const shapes = {
  pause: "M5.5 3.5v9M10.5 3.5v9",
  follow: "M8 3v9M4 8.5l4 4 4-4",
  replay: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v3h3",
  clear: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9",
  leave: "M8 2.5v5M4.6 4.6a4.8 4.8 0 1 0 6.8 0",
  close: "M4 4l8 8M12 4l-8 8",
  send: "M8 13V3M4 7l4-4 4 4",
} as const;

export type IconName = keyof typeof shapes;

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag: "svg" | "path", attributes: Readonly<Record<string, string>>, ...children: SVGElement[]): SVGElement {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Creates an icon that is hidden from screen readers: its button has a name. */
export function icon(name: IconName): SVGElement {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: shapes[name] }));
}

/** Most pieces that get an element each. */
const MAX_SET_OFF = 1000;

/** Converts a text into nodes, with hidden characters as highlighted escapes. */
export function revealedNodes(text: string): (Node | string)[] {
  const pieces = revealed(text);
  if (pieces.length > MAX_SET_OFF) return [pieces.map((piece) => piece.text).join("")];
  return pieces.map((piece) => (piece.escaped ? element("span", "sign", piece.text) : piece.text));
}
