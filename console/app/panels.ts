import { Panel, type PanelActions } from "../channel/panel.ts";
import { byId } from "../element.ts";
import { parseChannelPath } from "../net/channel-path.ts";
import type { Server } from "../net/server.ts";
import type { Texts } from "../text/texts.ts";

/** Most channels that a hash opens: a stranger's link must not open connections without limit. */
const MAX_NAMED = 8;

/** The channels on the page, side by side. The page's URL names them after the `#`, so that it can be shared; it never holds a token. */
export class Panels {
  readonly #node = byId("panels", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #recent = byId("recent", HTMLSelectElement);
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

  /** The panel with the focus, else the first. */
  get active(): Panel | undefined {
    return this.#all.find(({ node }) => node.contains(document.activeElement)) ?? this.#all[0];
  }

  /** Joins a channel, or scrolls to its panel. @returns undefined if the text is not a path */
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

  /** Joins the channels that the page's hash names, up to the limit. */
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
