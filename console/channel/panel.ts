import { Channel, type BrowserEnd, type BrowserSockets, type ChannelListener, type Start, type State } from "../../client/index.ts";
import { button, element, icon, type IconName } from "../element.ts";
import { showChannelPath } from "../net/channel-path.ts";
import { reasonOf, type Reason } from "../net/reason.ts";
import type { Server } from "../net/server.ts";
import { showPosition } from "../text/display.ts";
import type { TextKey } from "../text/english.ts";
import type { Texts } from "../text/texts.ts";
import { Chart } from "./chart.ts";
import { Composer } from "./composer.ts";
import { Entries, type Mark } from "./entries.ts";
import { Facts } from "./facts.ts";
import { MessageLog } from "./message-log.ts";
import { PresenceWatch } from "./presence.ts";
import { Rate } from "./rate.ts";
import { Sent } from "./sent.ts";
import { Strip } from "./strip.ts";

/** Bounds of one channel on the page; the text `page.limit` names them. */
const MAX_ENTRIES = 10_000;
const MAX_BYTES = 64 * 1024 * 1024;
const RATE_SECONDS = 61;
/** Most characters shown of an unconfirmed text. */
const NAMED_CHARACTERS = 80;

export interface PanelActions {
  readonly askToken: () => void;
  readonly close: (panel: Panel) => void;
  /** The connection was lost. */
  readonly lost: () => void;
  /** Count of messages to replay. */
  readonly recent: () => number;
}

/** One channel on the page. */
export class Panel implements ChannelListener<string | ArrayBuffer, BrowserEnd> {
  readonly path: string;
  readonly node: HTMLElement;
  readonly #texts: Texts;
  readonly #entries = new Entries(MAX_ENTRIES, MAX_BYTES);
  readonly #rate = new Rate(RATE_SECONDS, Date.now());
  readonly #sent = new Sent();
  readonly #server: Server;
  readonly #sockets: BrowserSockets;
  readonly #channel: Channel<string | ArrayBuffer, BrowserEnd>;
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
    this.#server = server;
    this.#sockets = server.sockets(path);
    this.#channel = new Channel(this.#sockets, this, { recent: actions.recent() });
    this.#log = new MessageLog(name, this.#entries, texts, () => this.#showPace());
    this.#chart = new Chart(this.#rate, texts);
    this.#facts = new Facts(texts);
    this.#strip = new Strip(path, texts, { connect: () => this.connect(), askToken: actions.askToken });
    this.#composer = new Composer(name, texts, (text) => this.#send(text));
    this.#presence = new PresenceWatch(path, server, (present) => this.#facts.showPresent(present));
    this.#pace = button("tool", () => this.togglePace());
    this.#replay = this.#tool("replay", "panel.replay", () => {
      this.#clear();
      this.#channel.restart(actions.recent());
    });
    this.#leave = this.#tool("leave", "panel.leave", () => this.#channel.close());
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
    this.#channel.connect();
  }

  /** Ends a wait and connects now. */
  retry(): void {
    if (this.#channel.state.at === "waiting") this.#channel.connect();
  }

  /** Shortens a wait: the server accepts clients again. */
  hurry(): void {
    this.#channel.hurry();
  }

  /** Reconnects with another token, unless the reader has left the channel. */
  renew(): void {
    const { state } = this.#channel;
    if (state.at !== "closed" || state.end !== undefined) this.#channel.connect();
  }

  abandon(): void {
    this.#channel.abandon({ code: 1006 });
  }

  /** Removes the channel from the page. */
  end(): void {
    this.#channel.close();
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
    this.#facts.showPosition(this.#channel.position, this.#sockets.history);
    this.#texts.put(this.#replay, "label", "panel.replay", String(this.#actions.recent()));
    this.#texts.put(this.#replay, "hint", "panel.replay", String(this.#actions.recent()));
  }

  changed(state: State<BrowserEnd>): void {
    const reason = "end" in state ? reasonOf(state.end, this.#server.token) : undefined;
    this.node.dataset["state"] = state.at;
    this.#texts.put(this.#state, "text", `state.${state.at}`);
    this.#strip.show(state, reason);
    this.#composer.open = state.at === "open";
    this.#leave.disabled = state.at === "closed";
    if (state.at === "open") {
      this.#presence.start();
      this.#wasOpen = true;
    } else {
      this.#presence.stop();
      this.#facts.showPresent(undefined);
      if (this.#wasOpen) this.#lost(state, reason);
      this.#wasOpen = false;
    }
  }

  started({ position, since, returning, gap }: Start): void {
    this.#replay.hidden = this.#sockets.history === false;
    if (!returning) {
      this.#mark("plain", position === null ? "mark.joined" : "mark.joinedAt", ...(position === null ? [] : [showPosition(position)]));
    } else if (position === null) this.#mark("warn", "mark.noHistory");
    else if (gap) this.#mark("warn", since !== null && epochOf(since) !== epochOf(position) ? "mark.anew" : "mark.gap");
    else this.#mark("good", "mark.resumed");
    this.#markUnconfirmed();
  }

  received(data: string | ArrayBuffer, position: string | null): void {
    const atMs = Date.now();
    this.#rate.count(atMs);
    this.#entries.add({ arrival: { data, atMs, position, own: typeof data === "string" && this.#sent.takes(data) } });
    this.#log.changed();
  }

  #lost(state: State<BrowserEnd>, reason: Reason | undefined): void {
    this.#sent.lost(Date.now());
    if (reason === undefined || reason.word === "closed.here") return;
    this.#actions.lost();
    const { word, code, refusesSent } = reason;
    this.#add({ tone: "warn", word, atMs: Date.now(), ...(code === undefined ? {} : { code }) });
    const unsent = this.#sent.lastDoubtful;
    if (refusesSent === true && unsent !== undefined) this.#composer.restore(unsent);
    // The reader may never connect again.
    if (state.at === "closed") this.#markUnconfirmed();
  }

  #markUnconfirmed(): void {
    for (const text of this.#sent.takeDoubtful()) this.#mark("warn", "mark.unconfirmed", text.slice(0, NAMED_CHARACTERS));
  }

  #send(text: string): boolean {
    const isSent = this.#channel.send(text);
    if (isSent) {
      this.#sent.add(text, Date.now());
      // The sender wants to see the echo.
      this.#log.follow();
    }
    return isSent;
  }

  #mark(tone: Mark["tone"], word: TextKey, ...values: string[]): void {
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

  #tool(name: IconName, word: TextKey, act: () => void): HTMLButtonElement {
    const node = button("tool", act, icon(name));
    for (const place of ["label", "hint"] as const) this.#texts.put(node, place, word);
    return node;
  }
}

function epochOf(position: string): string {
  return position.slice(0, position.indexOf("-"));
}
