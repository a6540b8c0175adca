import { button } from "../element.ts";
import type { Texts } from "./texts.ts";

const SHOWN_MS = 1500;

/**
 * Creates a button that copies the text of a node. Where the page may not copy (plain http to another machine), it selects the node.
 *
 * @param read returns the text to copy, if it differs from the shown one
 */
export function copyButton(source: HTMLElement, texts: Texts, read = (): string => source.textContent): HTMLButtonElement {
  const node = button("quiet", () => {
    void run();
  });
  const run = async (): Promise<void> => {
    if (!(await copy(source, read()))) return;
    texts.put(node, "text", "copy.done");
    setTimeout(() => texts.put(node, "text", "copy.do"), SHOWN_MS);
  };
  texts.put(node, "text", "copy.do");
  return node;
}

async function copy(source: HTMLElement, text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection()?.selectAllChildren(source);
    return false;
  }
}
