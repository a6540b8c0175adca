import { showChannelPath } from "../net/channel-path.ts";
import { Chart } from "./chart.ts";
import { refusesSent } from "../net/closing.ts";
import { Composer } from "./composer.ts";
import { showPosition } from "../net/course.ts";
import { button, element } from "../element.ts";
import { Entries } from "./entries.ts";
import { Facts } from "./facts.ts";
import { icon, type IconName } from "../icon.ts";
import { Link, type Beginning, type LinkListener, type State } from "../net/link.ts";
import type { Mark } from "./mark.ts";
import { MessageLog } from "./message-log.ts";
import { PresenceWatch } from "./presence.ts";
import { Rate } from "./rate.ts";
import { Sent } from "./sent.ts";
import type { Server } from "../net/server.ts";
import { Strip } from "./strip.ts";
import type { Texts } from "../text/texts.ts";
import type { Word } from "../text/english.ts";

/** What one channel keeps on the page; `page.limit` says so. */
const MAX_ENTRIES = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
const RATE_SECONDS = 61;
/** What of an unconfirmed text is named. */
const NAMED_CHARACTERS = 80;

export interface PanelActions {
  readonly askToken: () => void;
  readonly close: (panel: Panel) => void;
  /** The connection has ended, though nobody here has ended it. */
  readonly lost: () => void;
  /** How many messages a replay is for. */
  readonly recent: () => number;
}

/** One channel on the page. */
export class Panel implements LinkListener {
  readonly path: string;
  readonly node: HTMLElement;
  readonly #texts: Texts;
  readonly #entries = new Entries(MAX_ENTRIES, MAX_BYTES);
  readonly #rate = new Rate(RATE_SECONDS, Date.now());
  readonly #sent = new Sent();
  readonly #link: Link;
  readonly #log: MessageLog;
  readonly #chart: Chart;
  readonly #facts: Facts;
  readonly #strip: Strip;
  readonly #composer: Composer;
  readonly #presence: PresenceWatch;
  readonly #actions: PanelActions;
  readonly #state = element("span", "state");
  readonly #pace: HTMLButtonElement;
  readonly #replay: HTMLButtonElement;
  readonly #leave: HTMLButtonElement;
  #wasOpen = false;

  constructor(path: string, server: Server, texts: Texts, actions: PanelActions) {
    const name = showChannelPath(path);
    this.path = path;
    this.#actions = actions;
    this.#texts = texts;
    this.#link = new Link(path, actions.recent(), server, this);
    this.#log = new MessageLog(name, this.#entries, texts, () => this.#showPace());
    this.#chart = new Chart(this.#rate, texts);
    this.#facts = new Facts(texts);
    this.#strip = new Strip(path, texts, { connect: () => this.connect(), askToken: actions.askToken });
    this.#composer = new Composer(name, texts, (text) => this.#send(text));
    this.#presence = new PresenceWatch(path, server, (present) => this.#facts.showPresent(present));
    this.#pace = button("tool", () => this.togglePace());
    this.#replay = this.#tool("replay", "panel.replay", () => {
      this.#clear();
      this.#link.replay(actions.recent());
    });
    this.#leave = this.#tool("leave", "panel.leave", () => this.#link.leave());
    const clear = this.#tool("clear", "panel.clear", () => this.#clear());
    const close = this.#tool("close", "panel.close", () => actions.close(this));
    const title = element("h2", "", element("bdi", "", name));
    title.title = name;
    this.#state.role = "status";
    const tools = element("div", "tools", this.#pace, this.#replay, clear, this.#leave, close);
    const head = element("header", "", element("span", "dot"), title, this.#state, this.#chart.node, tools);
    this.node = element("section", "panel", head, this.#facts.node, this.#strip.node, this.#log.node, this.#composer.node);
    this.node.ariaLabel = name;
    this.#showPace();
    this.tick(Date.now());
  }

  connect(): void {
    this.#link.connect();
  }

  /** Connects now where it waits to. */
  retry(): void {
    if (this.#link.state.at === "waiting") this.#link.connect();
  }

  /** The server takes clients again. */
  hurry(): void {
    this.#link.hurry();
  }

  /** Goes on with another token; nothing is missed where the channel keeps history. Who has left stays away. */
  renew(): void {
    const { state } = this.#link;
    if (state.at !== "stopped" || state.reason.word !== "closed.here") this.#link.connect();
  }

  abandon(): void {
    this.#link.abandon();
  }

  /** Ends it for good. */
  end(): void {
    this.#link.leave();
    this.#presence.stop();
    this.node.remove();
  }

  focus(): void {
    this.#composer.focus();
  }

  focusLog(): void {
    this.#log.focus();
  }

  togglePace(): void {
    if (this.#log.follows) this.#log.pause();
    else this.#log.follow();
  }

  tick(nowMs: number): void {
    this.#chart.draw(nowMs);
    this.#strip.tick(nowMs);
    this.#facts.showPosition(this.#link.position, this.#link.history);
    this.#texts.put(this.#replay, "label", "panel.replay", String(this.#actions.recent()));
    this.#texts.put(this.#replay, "hint", "panel.replay", String(this.#actions.recent()));
  }

  changed(state: State): void {
    this.node.dataset["state"] = state.at;
    this.#texts.put(this.#state, "text", `state.${state.at}`);
    this.#strip.show(state);
    this.#composer.open = state.at === "open";
    this.#leave.disabled = state.at === "stopped";
    if (state.at === "open") {
      this.#presence.start();
      this.#wasOpen = true;
    } else {
      this.#presence.stop();
      this.#facts.showPresent(undefined);
      if (this.#wasOpen) this.#lost(state);
      this.#wasOpen = false;
    }
  }

  began({ position, resumed, anew, returning }: Beginning): void {
    this.#replay.hidden = this.#link.history === false;
    if (!returning) {
      this.#mark("plain", position === null ? "mark.joined" : "mark.joinedAt", ...(position === null ? [] : [showPosition(position)]));
    } else if (position === null) this.#mark("warn", "mark.noHistory");
    else if (resumed === true) this.#mark("good", "mark.resumed");
    else this.#mark("warn", anew ? "mark.anew" : "mark.gap");
    this.#markUnconfirmed();
  }

  received(data: string | ArrayBuffer, position: string | null): void {
    const atMs = Date.now();
    this.#rate.count(atMs);
    this.#entries.add({ arrival: { data, atMs, position, own: typeof data === "string" && this.#sent.takes(data) } });
    this.#log.changed();
  }

  #lost(state: State): void {
    this.#sent.lost(Date.now());
    if (state.at !== "waiting" && state.at !== "stopped") return;
    if (state.reason.word === "closed.here") return;
    this.#actions.lost();
    const { word, code } = state.reason;
    this.#add({ tone: "warn", word, atMs: Date.now(), ...(code === undefined ? {} : { code }) });
    const unsent = this.#sent.lastDoubtful;
    if (code !== undefined && refusesSent(code) && unsent !== undefined) this.#composer.restore(unsent);
    // Nobody may come back to read it.
    if (state.at === "stopped") this.#markUnconfirmed();
  }

  #markUnconfirmed(): void {
    for (const text of this.#sent.takeDoubtful()) this.#mark("warn", "mark.unconfirmed", text.slice(0, NAMED_CHARACTERS));
  }

  #send(text: string): boolean {
    const isSent = this.#link.send(text);
    if (isSent) {
      this.#sent.add(text, Date.now());
      // Who sends wants to see it come.
      this.#log.follow();
    }
    return isSent;
  }

  #mark(tone: Mark["tone"], word: Word, ...values: string[]): void {
    this.#add({ tone, word, values, atMs: Date.now() });
  }

  #add(mark: Mark): void {
    this.#entries.add({ mark });
    this.#log.changed();
  }

  #clear(): void {
    this.#entries.clear();
    this.#log.clear();
  }

  #showPace(): void {
    const isFollowing = this.#log.follows;
    this.#pace.replaceChildren(icon(isFollowing ? "pause" : "follow"));
    for (const place of ["label", "hint"] as const) this.#texts.put(this.#pace, place, isFollowing ? "panel.following" : "panel.follow");
  }

  #tool(name: IconName, word: Word, act: () => void): HTMLButtonElement {
    const node = button("tool", act, icon(name));
    for (const place of ["label", "hint"] as const) this.#texts.put(node, place, word);
    return node;
  }
}
