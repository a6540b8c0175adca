import { formatPosition, parsePosition, type Position } from "../../src/position.ts";

/** What the first frame says where `hello=1` was asked for. */
export interface Hello {
  readonly position: Position;
  /** Whether nothing is missing since the position that was asked for; null where none was. */
  readonly resumed: boolean | null;
}

/** @returns undefined for what is no such frame */
export function parseHello(text: string): Hello | undefined {
  try {
    const said: unknown = JSON.parse(text);
    if (typeof said !== "object" || said === null || !("position" in said) || typeof said.position !== "string") return undefined;
    const position = parsePosition(said.position);
    const resumed = "resumed" in said && typeof said.resumed === "boolean" ? said.resumed : null;
    return position === undefined ? undefined : { position, resumed };
  } catch {
    return undefined;
  }
}

/** Characters of an epoch that are shown: enough to see that it is another. */
const SHOWN_EPOCH = 6;

/** A position for people, who look at the offset. */
export function showPosition(position: string): string {
  const mark = position.lastIndexOf("-");
  return mark <= SHOWN_EPOCH + 2 ? position : `${position.slice(0, SHOWN_EPOCH)}…${position.slice(mark)}`;
}

/** Where a client is on a channel with history. Frames do not carry positions: they are counted from where the server said that it begins. */
export class Course {
  #position: Position | undefined;

  /** Undefined until the server has said where it begins. */
  get position(): string | undefined {
    return this.#position === undefined ? undefined : formatPosition(this.#position.epoch, this.#position.offset);
  }

  /** @returns whether the history was begun anew since the position that was asked for */
  begin({ position }: Hello): boolean {
    const isAnew = this.#position !== undefined && this.#position.epoch !== position.epoch;
    this.#position = position;
    return isAnew;
  }

  /** Counts one message. */
  advance(): void {
    if (this.#position === undefined) return;
    const { epoch, offset } = this.#position;
    this.#position = { epoch, offset: offset + 1 };
  }

  /** What the next connection asks for. */
  query(recent: number): string {
    if (this.#position !== undefined) return `?hello=1&since=${encodeURIComponent(this.position ?? "")}`;
    return recent > 0 ? `?hello=1&recent=${recent}` : "?hello=1";
  }

  forget(): void {
    this.#position = undefined;
  }
}
