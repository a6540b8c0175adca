/**
 * The console: a page that is the server's own client. Plain modules without a framework: most of it is a log that only grows, where a
 * virtual DOM would compare what never changes, and all of it fits into the executable as one page of some kilobytes.
 */
import { keep, readTheme, readTongue, type Theme } from "./choices.ts";
import { part } from "../element.ts";
import { listenForKeys } from "./keys.ts";
import { Panels } from "./panels.ts";
import { Pulse, wordOfHealth } from "../net/pulse.ts";
import { Server } from "../net/server.ts";
import { Texts } from "../text/texts.ts";
import { TokenDialog } from "./token-dialog.ts";

const texts = new Texts(readTongue());
const server = new Server(location.href);
const tokens = new TokenDialog(texts, (token) => {
  server.token = token;
  for (const panel of panels.all) panel.renew();
});
const panels = new Panels(server, texts, { askToken: () => tokens.open(), lost: () => pulse.start() });
const health = part("health", HTMLElement);
const pulse = new Pulse(server, {
  show: (is) => {
    health.dataset["is"] = is;
    texts.put(part("health-text", HTMLElement), "text", wordOfHealth(is));
  },
  welcome: () => panels.all.forEach((panel) => panel.hurry()),
  giveUp: () => panels.all.forEach((panel) => panel.abandon()),
});

const channel = part("channel", HTMLInputElement);
const refused = part("join-bad", HTMLElement);
part("join", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const panel = panels.join(channel.value);
  refused.hidden = panel !== undefined;
  if (panel === undefined) return channel.select();
  channel.value = "";
  panel.focus();
});
channel.addEventListener("input", () => (refused.hidden = true));
for (const sample of document.querySelectorAll<HTMLElement>("[data-join]")) {
  sample.addEventListener("click", () => panels.join(sample.dataset["join"] ?? "")?.focus());
}

part("skip", HTMLAnchorElement).addEventListener("click", (event) => {
  // Its address would be taken for the name of a channel.
  event.preventDefault();
  part("panels", HTMLElement).focus();
});

const themes: readonly Theme[] = ["auto", "light", "dark"];
function paint(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
  const node = part("theme", HTMLButtonElement);
  for (const place of ["label", "hint"] as const) texts.put(node, place, `bar.theme.${theme}`);
}
let theme = readTheme();
part("theme", HTMLButtonElement).addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "auto";
  keep("theme", theme);
  paint(theme);
});

part("tongue", HTMLButtonElement).addEventListener("click", () => {
  const other = texts.tongue === "en" ? "zh" : "en";
  keep("tongue", other);
  texts.speak(other, document);
});

/** The network may be back, or the page looked at again: what waits is tried now. */
function wake(): void {
  if (document.visibilityState !== "visible") return;
  pulse.start();
  for (const panel of panels.all) panel.retry();
}

paint(theme);
texts.speak(texts.tongue, document);
listenForKeys(panels, tokens);
addEventListener("online", wake);
document.addEventListener("visibilitychange", wake);
addEventListener("hashchange", () => panels.joinNamed());
panels.joinNamed();
pulse.start();
if (panels.all.length === 0) channel.focus();
