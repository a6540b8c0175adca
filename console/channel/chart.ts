import { element, svg } from "../element.ts";
import type { Texts } from "../text/texts.ts";
import type { Rate } from "./rate.ts";

const WIDTH = 96;
const HEIGHT = 20;

/** Draws the rate of messages over the last minute, with the current rate as a number beside it. */
export class Chart {
  readonly node: HTMLElement;
  readonly #rate: Rate;
  readonly #texts: Texts;
  readonly #line = svg("path", { class: "line" });
  readonly #area = svg("path", { class: "area" });
  readonly #number = element("span", "rate");

  constructor(rate: Rate, texts: Texts) {
    this.#rate = rate;
    this.#texts = texts;
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    picture.append(this.#area, this.#line);
    this.node = element("div", "chart", this.#number);
    this.node.prepend(picture);
    this.node.role = "img";
  }

  draw(nowMs: number): void {
    // The current second is not over: it would always look like a fall.
    const counts = this.#rate.counts(nowMs).slice(0, -1);
    const peak = Math.max(...counts);
    const x = (index: number): number => (index * WIDTH) / (counts.length - 1);
    const y = (count: number): number => HEIGHT - 1 - (count / Math.max(peak, 1)) * (HEIGHT - 3);
    const points = counts.map((count, index) => `${x(index).toFixed(1)} ${y(count).toFixed(1)}`).join("L");
    this.#line.setAttribute("d", `M${points}`);
    this.#area.setAttribute("d", `M0 ${HEIGHT}L${points}L${WIDTH} ${HEIGHT}Z`);
    const perSecond = this.#rate.perSecond(nowMs);
    this.#texts.put(this.#number, "text", "facts.rate", perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0));
    for (const place of ["label", "hint"] as const) this.#texts.put(this.node, place, "facts.rateHint", String(peak));
  }
}
