import type { Language } from "../text/texts.ts";

export type Theme = "auto" | "light" | "dark";

/** Reads the chosen colours. Choices are kept in the browser; where it keeps nothing, they last as long as the page. */
export function readTheme(): Theme {
  const theme = read("theme");
  return theme === "light" || theme === "dark" ? theme : "auto";
}

export function readLanguage(): Language {
  const tongue = read("tongue");
  if (tongue === "en" || tongue === "zh") return tongue;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function keep(name: "theme" | "tongue", value: string): void {
  try {
    localStorage.setItem(`lockstep.${name}`, value);
  } catch {
    // The browser keeps nothing.
  }
}

function read(name: "theme" | "tongue"): string | null {
  try {
    return localStorage.getItem(`lockstep.${name}`);
  } catch {
    return null;
  }
}
