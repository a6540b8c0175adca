/** A new element with its class and what stands in it. Texts are texts: nothing on this page is ever parsed as markup. */
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

/** A button that submits nothing. */
export function button(className: string, onClick: () => void, ...children: (Node | string)[]): HTMLButtonElement {
  const node = element("button", className, ...children);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

/** An element that stands in the page from the start. */
export function part<T extends Element>(id: string, kind: abstract new () => T): T {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`the page has no ${id}`);
  return node;
}
