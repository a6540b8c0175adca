import type { Tongue } from "../text/texts.ts";

export type Theme = "auto" | "light" | "dark";

/** What a person has chosen for the page, kept in the browser. Where it may not keep anything, it is chosen anew each time. */
export function readTheme(): Theme {
  const theme = read("theme");
  return theme === "light" || theme === "dark" ? theme : "auto";
}

export function readTongue(): Tongue {
  const tongue = read("tongue");
  if (tongue === "en" || tongue === "zh") return tongue;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function keep(name: "theme" | "tongue", value: string): void {
  try {
    localStorage.setItem(`lockstep.${name}`, value);
  } catch {
    // Then it holds for as long as the page does.
  }
}

function read(name: "theme" | "tongue"): string | null {
  try {
    return localStorage.getItem(`lockstep.${name}`);
  } catch {
    return null;
  }
}
