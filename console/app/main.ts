/**
 * The console: the server's own client, as a page. It uses no framework: most of it is a log that only grows, and a virtual DOM would
 * compare what never changes. The executable holds all of it as one page of some kilobytes.
 */
import { byId } from "../element.ts";
import { HealthWatch, textOfHealth } from "../net/health-watch.ts";
import { Server } from "../net/server.ts";
import { Texts } from "../text/texts.ts";
import { keep, readTheme, readLanguage, type Theme } from "./choices.ts";
import { listenForKeys } from "./keys.ts";
import { Panels } from "./panels.ts";
import { TokenDialog } from "./token-dialog.ts";

const texts = new Texts(readLanguage());
const server = new Server(location.href);
const tokens = new TokenDialog(texts, (token) => {
  server.token = token;
  for (const panel of panels.all) panel.renew();
});
const panels = new Panels(server, texts, { askToken: () => tokens.open(), lost: () => watch.start() });
const health = byId("health", HTMLElement);
const watch = new HealthWatch(server, {
  show: (is) => {
    health.dataset["is"] = is;
    texts.put(byId("health-text", HTMLElement), "text", textOfHealth(is));
  },
  welcome: () => panels.all.forEach((panel) => panel.hurry()),
  giveUp: () => panels.all.forEach((panel) => panel.abandon()),
});

const channel = byId("channel", HTMLInputElement);
const refused = byId("join-bad", HTMLElement);
byId("join", HTMLFormElement).addEventListener("submit", (event) => {
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

byId("skip", HTMLAnchorElement).addEventListener("click", (event) => {
  // The hash of the link would name a channel.
  event.preventDefault();
  byId("panels", HTMLElement).focus();
});

const themes: readonly Theme[] = ["auto", "light", "dark"];
function paint(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
  const node = byId("theme", HTMLButtonElement);
  for (const place of ["label", "hint"] as const) texts.put(node, place, `bar.theme.${theme}`);
}
let theme = readTheme();
byId("theme", HTMLButtonElement).addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "auto";
  keep("theme", theme);
  paint(theme);
});

byId("tongue", HTMLButtonElement).addEventListener("click", () => {
  const other = texts.language === "en" ? "zh" : "en";
  keep("tongue", other);
  texts.changeLanguage(other, document);
});

/** Retries what waits: the network may be back, or the page is looked at again. */
function wake(): void {
  if (document.visibilityState !== "visible") return;
  watch.start();
  for (const panel of panels.all) panel.retry();
}

paint(theme);
texts.changeLanguage(texts.language, document);
listenForKeys(panels, tokens);
addEventListener("online", wake);
document.addEventListener("visibilitychange", wake);
addEventListener("hashchange", () => panels.joinNamed());
panels.joinNamed();
watch.start();
if (panels.all.length === 0) channel.focus();
