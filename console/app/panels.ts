import { parseChannelPath } from "../net/channel-path.ts";
import { part } from "../element.ts";
import { Panel, type PanelActions } from "../channel/panel.ts";
import type { Server } from "../net/server.ts";
import type { Texts } from "../text/texts.ts";

/** Channels that an address may open: another's link is not to make a browser open connections without an end. */
const MAX_NAMED = 8;

/** The channels on the page, side by side. The page's address names them after the `#`, so that it can be passed on; a token never is in it. */
export class Panels {
  readonly #node = part("panels", HTMLElement);
  readonly #empty = part("empty", HTMLElement);
  readonly #recent = part("recent", HTMLSelectElement);
  readonly #server: Server;
  readonly #texts: Texts;
  readonly #actions: Pick<PanelActions, "askToken" | "lost">;
  readonly #all: Panel[] = [];

  constructor(server: Server, texts: Texts, actions: Pick<PanelActions, "askToken" | "lost">) {
    this.#server = server;
    this.#texts = texts;
    this.#actions = actions;
    setInterval(() => this.#all.forEach((panel) => panel.tick(Date.now())), 1000);
  }

  get all(): readonly Panel[] {
    return this.#all;
  }

  /** The one that has the focus, or else the first. */
  get active(): Panel | undefined {
    return this.#all.find(({ node }) => node.contains(document.activeElement)) ?? this.#all[0];
  }

  /** Joins a channel, or goes to it where it is there already. @returns undefined for what is no path */
  join(typed: string): Panel | undefined {
    const path = parseChannelPath(typed);
    if (path === undefined) return undefined;
    const there = this.#all.find((panel) => panel.path === path);
    if (there !== undefined) {
      there.node.scrollIntoView({ block: "nearest" });
      return there;
    }
    const panel = new Panel(path, this.#server, this.#texts, {
      ...this.#actions,
      close: (closed) => this.#close(closed),
      recent: () => Number(this.#recent.value),
    });
    this.#all.push(panel);
    this.#node.append(panel.node);
    this.#changed();
    panel.connect();
    panel.node.scrollIntoView({ block: "nearest" });
    return panel;
  }

  /** Joins what the page's address names, while the page has fewer than an address may open. */
  joinNamed(): void {
    for (const path of location.hash.slice(1).split("&")) {
      if (this.#all.length >= MAX_NAMED) return;
      this.join(path);
    }
  }

  #close(panel: Panel): void {
    panel.end();
    this.#all.splice(this.#all.indexOf(panel), 1);
    this.#changed();
  }

  #changed(): void {
    this.#empty.hidden = this.#all.length > 0;
    this.#node.dataset["count"] = String(this.#all.length);
    const named = this.#all.map(({ path }) => path).join("&");
    history.replaceState(null, "", named === "" ? location.pathname + location.search : `#${named}`);
  }
}
