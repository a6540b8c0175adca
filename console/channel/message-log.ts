import { button, element } from "../element.ts";
import type { Entries, Entry } from "./entries.ts";
import { markRow, messageRow } from "./row.ts";
import type { Texts } from "../text/texts.ts";

/** Lines of one block: the browser lays out and paints only blocks that are in sight (`content-visibility`). */
const BLOCK_LINES = 100;
/** Lines made between two pictures, so that a burst does not stop the page. */
const FRAME_LINES = 500;
/** Pixels from the end that still count as being there. */
const NEAR_END = 24;

/** How long after a person's own act a scroll is theirs. */
const ACT_MS = 1000;

/** Whether new lines are shown, and if not, whether that ends when the reader comes to the end again. */
type Pace = "following" | "held" | "paused";

/** Whether a key goes to the text of an opened message, which scrolls of its own. */
const isInMessage = (target: EventTarget | null): boolean => target instanceof Element && target.closest("pre") !== null;

/**
 * The lines of a channel. Real elements in blocks, not a list of a few that are moved about: so the browser's own search, selection and
 * reading aloud work on all of them. While the reader holds it nothing moves; what comes waits in the entries.
 */
export class MessageLog {
  readonly node: HTMLElement;
  readonly #list: HTMLElement;
  /** Holds the blocks. */
  readonly #lines = element("div", "lines");
  readonly #limit: HTMLElement;
  readonly #newer: HTMLButtonElement;
  readonly #entries: Entries;
  readonly #texts: Texts;
  readonly #onPace: () => void;
  #pace: Pace = "following";
  /** The entry that is shown first, and the one to show next. */
  #shownFirst = 1;
  #next = 1;
  #isDue = false;
  /** Where the list stood at the last look, and how high it was. */
  #lastTop = 0;
  #lastHeight = 0;
  /** When a person last turned the wheel, dragged or pressed a key here; while a button is down on the scroll bar, for ever. */
  #actedMs = Number.NEGATIVE_INFINITY;
  /** Whether that was to go back, so that a scroll to the end which still comes is of what they did before. */
  #goesBack = false;

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
    // A busy channel read aloud line by line would never end.
    this.#list.ariaLive = "off";
    texts.put(this.#list, "label", "panel.log", name);
    this.#newer = button("newer", () => this.follow());
    this.#newer.hidden = true;
    this.#list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // At once: the next picture would stop a scroll that has only begun.
    this.#list.addEventListener("wheel", ({ deltaY }) => this.#turn(deltaY), { passive: true });
    this.#list.addEventListener("touchmove", () => this.#act(performance.now(), false), { passive: true });
    this.#list.addEventListener("pointerdown", () => this.#press());
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    // Blocks get their true height when they come into sight, and what stands around the list gets more or less: both move the end.
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

  /** Shows what has been added, with the browser's next picture. */
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

  /** Takes away what the entries have dropped. */
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

  /** The button may be let go of anywhere; to listen to all of the page for longer would keep a closed channel in memory. */
  #press(): void {
    this.#act(Number.POSITIVE_INFINITY, false);
    const pressed = new AbortController();
    const release = (): void => {
      this.#actedMs = performance.now();
      pressed.abort();
    };
    for (const end of ["pointerup", "pointercancel"] as const) addEventListener(end, release, { signal: pressed.signal });
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const isAtEnd = this.#isAtEnd;
    const isTheirs = performance.now() - this.#actedMs < ACT_MS;
    if (this.#pace === "held" && isAtEnd && scrollTop > this.#lastTop && !(isTheirs && this.#goesBack)) this.follow();
    else if (this.#pace === "following" && !isAtEnd && scrollTop < this.#lastTop - 1) {
      // Blocks that come into sight may turn out lower than was thought, and move the end up by as much; so does no reader. The browser's
      // own search goes far, or where nothing else moves.
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

  /** The wheel, up or down; or sideways, which is nothing here. */
  #turn(deltaY: number): void {
    this.#act(performance.now(), deltaY < 0);
    if (deltaY < 0) this.#holdUnlessWhole();
    else if (deltaY > 0) this.#releaseAtEnd();
  }

  #key(event: KeyboardEvent): void {
    const { key, shiftKey, target } = event;
    const goesBack = /^(?:Home|PageUp|ArrowUp)$/.test(key) || (key === " " && shiftKey);
    this.#act(performance.now(), goesBack);
    if (goesBack) this.#holdUnlessWhole();
    else if (key === "End" && !shiftKey && this.#pace !== "paused" && !isInMessage(target)) {
      // The browser's own way there would go on under the next key.
      event.preventDefault();
      this.follow();
      this.#toEnd();
    }
    this.#walk(event);
  }

  #act(actedMs: number, goesBack: boolean): void {
    this.#actedMs = actedMs;
    this.#goesBack = goesBack;
  }

  /** Where all is in sight there is nothing to go back to. */
  #holdUnlessWhole(): void {
    if (this.#list.scrollHeight > this.#list.clientHeight) this.#hold();
  }

  /** A message was opened, which is to stay where it is, or closed again. */
  #toggled(isOpen: boolean): void {
    if (isOpen) this.#hold();
    else this.#releaseAtEnd();
  }

  /** Who is at the end cannot scroll there. */
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

  /** Arrow keys go from message to message. */
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
