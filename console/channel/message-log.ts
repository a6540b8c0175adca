import { button, element } from "../element.ts";
import type { Texts } from "../text/texts.ts";
import type { Entries, Entry } from "./entries.ts";
import { ReaderActs } from "./reader-acts.ts";
import { markRow, messageRow } from "./row.ts";

/** Rows of one block: the browser lays out and paints only visible blocks (`content-visibility`). */
const BLOCK_LINES = 100;
/** Most rows added in one animation frame, so that a burst does not stop the page. */
const FRAME_LINES = 500;
/** Distance from the end that still counts as the end, in pixels. */
const NEAR_END = 24;

/** `held` follows again when the reader returns to the end; `paused` does not. */
type Pace = "following" | "held" | "paused";

/** True inside the text of an open message, which scrolls by itself. */
const isInMessage = (target: EventTarget | null): boolean => target instanceof Element && target.closest("pre") !== null;

/**
 * The rows of a channel. All of them are elements, in blocks, so that the browser's search, selection and screen reader work on them.
 * While the reader holds the list nothing moves; new messages wait in the entries.
 */
export class MessageLog {
  readonly node: HTMLElement;
  readonly #list: HTMLElement;
  readonly #lines = element("div", "lines");
  readonly #limit: HTMLElement;
  readonly #newer: HTMLButtonElement;
  readonly #entries: Entries;
  readonly #texts: Texts;
  readonly #onPace: () => void;
  #pace: Pace = "following";
  /** Numbers of the first entry shown, and of the next one to show. */
  #shownFirst = 1;
  #next = 1;
  #isDue = false;
  /** Scroll position and height of the list at the last look. */
  #lastTop = 0;
  #lastHeight = 0;
  readonly #acts: ReaderActs;

  constructor(name: string, entries: Entries, texts: Texts, onPace: () => void) {
    this.#entries = entries;
    this.#texts = texts;
    this.#onPace = onPace;
    this.#limit = element("p", "limit");
    this.#limit.hidden = true;
    const quiet = element("p", "nothing");
    texts.put(quiet, "text", "panel.quiet");
    this.#list = element("div", "log", this.#limit, quiet, this.#lines);
    this.#list.tabIndex = 0;
    this.#list.role = "log";
    // A screen reader would never finish a busy channel.
    this.#list.ariaLive = "off";
    texts.put(this.#list, "label", "panel.log", name);
    this.#newer = button("newer", () => this.follow());
    this.#newer.hidden = true;
    this.#list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Handled at once: the next animation frame would stop a scroll that has just begun.
    this.#list.addEventListener("wheel", ({ deltaY }) => this.#turn(deltaY), { passive: true });
    this.#acts = new ReaderActs(this.#list);
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    // Blocks get their true height when they become visible, and the list changes its size with the page: both move the end.
    const observer = new ResizeObserver(() => this.follows && this.changed());
    for (const part of [this.#list, this.#lines]) observer.observe(part);
    this.node = element("div", "log-frame", this.#list, this.#newer);
  }

  get follows(): boolean {
    return this.#pace === "following";
  }

  focus(): void {
    this.#list.focus();
  }

  follow(): void {
    this.#set("following");
    this.changed();
  }

  pause(): void {
    this.#set("paused");
  }

  /** Shows new entries in the next animation frame. */
  changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#show();
    });
  }

  clear(): void {
    this.#lines.replaceChildren();
    this.#shownFirst = this.#next = this.#entries.first;
    this.#limit.hidden = true;
    this.follow();
  }

  #show(): void {
    if (this.#pace !== "following") {
      this.#showWaiting();
      return;
    }
    this.#trim();
    const entries = this.#entries.from(this.#next, FRAME_LINES);
    this.#append(entries);
    this.#showWaiting();
    this.#toEnd();
    if (this.#next < this.#entries.next) this.changed();
  }

  #toEnd(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#look();
  }

  #append(entries: readonly Entry[]): void {
    let block = this.#lines.lastElementChild;
    for (const entry of entries) {
      if (block === null || block.childElementCount >= BLOCK_LINES) {
        block = element("div", "block");
        this.#lines.append(block);
      }
      block.append(
        "arrival" in entry ? messageRow(entry.arrival, this.#texts, (isOpen) => this.#toggled(isOpen)) : markRow(entry.mark, this.#texts),
      );
      this.#next = entry.number + 1;
    }
  }

  /** Removes the rows of dropped entries. */
  #trim(): void {
    const { first, dropped } = this.#entries;
    this.#next = Math.max(this.#next, first);
    for (; this.#shownFirst < first; this.#shownFirst += 1) {
      const block = this.#lines.firstElementChild;
      block?.firstElementChild?.remove();
      if (block?.childElementCount === 0) block.remove();
    }
    this.#limit.hidden = dropped === 0;
    if (dropped > 0) this.#texts.put(this.#limit, "text", "page.limit", dropped.toLocaleString("en"));
  }

  #showWaiting(): void {
    const waiting = this.#entries.next - Math.max(this.#next, this.#entries.first);
    this.#newer.hidden = this.#pace === "following";
    if (waiting > 0) this.#texts.put(this.#newer, "text", "panel.newer", waiting.toLocaleString("en"));
    else this.#texts.put(this.#newer, "text", "panel.paused");
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const isAtEnd = this.#isAtEnd;
    const isTheirs = this.#acts.isRecent;
    if (this.#pace === "held" && isAtEnd && scrollTop > this.#lastTop && !(isTheirs && this.#acts.goesBack)) this.follow();
    else if (this.#pace === "following" && !isAtEnd && scrollTop < this.#lastTop - 1) {
      // A block that becomes visible may be lower than estimated, which moves the end up by as much. A reader, or the browser's search,
      // moves further, or while the height stays.
      const shrunk = Math.max(0, this.#lastHeight - scrollHeight);
      const isFar = this.#lastTop - scrollTop - shrunk > clientHeight;
      if (isTheirs || scrollHeight === this.#lastHeight || isFar) this.#hold();
      else this.#toEnd();
      return;
    }
    this.#look();
  }

  get #isAtEnd(): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #look(): void {
    this.#lastTop = this.#list.scrollTop;
    this.#lastHeight = this.#list.scrollHeight;
  }

  /** Follows the wheel up and down; sideways does nothing. */
  #turn(deltaY: number): void {
    this.#acts.add(deltaY < 0);
    if (deltaY < 0) this.#holdUnlessWhole();
    else if (deltaY > 0) this.#releaseAtEnd();
  }

  #key(event: KeyboardEvent): void {
    const { key, shiftKey, target } = event;
    const goesBack = /^(?:Home|PageUp|ArrowUp)$/.test(key) || (key === " " && shiftKey);
    this.#acts.add(goesBack);
    if (goesBack) this.#holdUnlessWhole();
    else if (key === "End" && !shiftKey && this.#pace !== "paused" && !isInMessage(target)) {
      // The browser's own smooth scroll would continue under the next key.
      event.preventDefault();
      this.follow();
      this.#toEnd();
    }
    this.#walk(event);
  }

  /** A list that is visible as a whole has nothing to go back to. */
  #holdUnlessWhole(): void {
    if (this.#list.scrollHeight > this.#list.clientHeight) this.#hold();
  }

  /** Keeps an open message in its place. */
  #toggled(isOpen: boolean): void {
    if (isOpen) this.#hold();
    else this.#releaseAtEnd();
  }

  /** Follows again at the end, where no scroll is possible. */
  #releaseAtEnd(): void {
    if (this.#pace === "held" && this.#isAtEnd) this.follow();
  }

  #hold(): void {
    if (this.#pace !== "following") return;
    this.#look();
    this.#set("held");
  }

  #set(pace: Pace): void {
    this.#pace = pace;
    this.#showWaiting();
    this.#onPace();
  }

  /** Moves from message to message with the arrow keys. */
  #walk(event: KeyboardEvent): void {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step === undefined || isInMessage(event.target)) return;
    const openers = [...this.#list.querySelectorAll<HTMLButtonElement>(".opener")];
    const index = openers.findIndex((opener) => opener === document.activeElement);
    const next = index === -1 ? openers.at(-1) : openers[index + step];
    if (next === undefined) return;
    event.preventDefault();
    this.#hold();
    next.focus({ preventScroll: true });
    next.closest(".row")?.scrollIntoView({ block: "nearest" });
  }
}
