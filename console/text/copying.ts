import { button } from "../element.ts";
import type { Texts } from "./texts.ts";

const SHOWN_MS = 1500;

/**
 * A button that copies what a node shows. Where the page may not (http beyond this machine), it selects it instead.
 *
 * @param read the text, where what is shown is not all of it as it is
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
