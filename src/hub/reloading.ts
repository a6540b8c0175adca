import type { Kind, Target } from "../channels/kind.ts";
import { kindNaming, resolveTarget } from "../channels/resolver.ts";
import type { Attendance } from "./attendance.ts";
import type { Gaps } from "./gaps.ts";
import type { LocalChannel } from "./local-channel.ts";
import type { LocalChannels } from "./local-channels.ts";

export interface ReloadingOptions {
  readonly channels: LocalChannels;
  readonly gaps: Gaps;
  readonly attendance: Attendance;
}

/**
 * What becomes of clients when the kinds are read anew. They stay where they are, under the newer kind of their path. Where it calls
 * the channel otherwise, begins or ends to keep history, or leaves the channel to a kind with other rules, they are closed as after a
 * gap, and come back to the right place.
 */
export class Reloading {
  readonly #options: ReloadingOptions;

  constructor(options: ReloadingOptions) {
    this.#options = options;
  }

  /** In one turn: who enters afterwards enters by the newer kinds. */
  reload(kinds: readonly Kind[]): void {
    for (const local of this.#options.channels.all()) {
      if (local.own) continue;
      const kind = kindNaming(kinds, local.name);
      if (kind === undefined || local.suits(kind)) this.#stay(local, kind, kinds);
      else this.#end(local, kind);
    }
  }

  /** @param kind whose channel it is now; undefined: no kind's any more */
  #stay(local: LocalChannel, kind: Kind | undefined, kinds: readonly Kind[]): void {
    const { gaps, attendance } = this.#options;
    const resolved = new Map<string, Target | undefined>();
    for (const seat of local.everybody) {
      const { segments } = seat.target;
      // No segment holds a control character.
      const path = segments.join("\0");
      if (!resolved.has(path)) resolved.set(path, resolveTarget(kinds, segments));
      // A path that is of no kind any more takes nobody in, but those who are there stay, unless the channel is another kind's.
      const stays = kind?.mayShare(seat.target.kind) ?? true;
      const next = resolved.get(path) ?? (stays ? seat.target : undefined);
      if (next?.channel === local.name) seat.target = next;
      else gaps.move(seat);
    }
    if (kind === undefined) return;
    local.kind = kind;
    for (const seat of local.everybody) attendance.show(seat);
  }

  /** The channel begins or ends to keep history: nobody can stay on it. */
  #end(local: LocalChannel, kind: Kind): void {
    for (const seat of local.everybody) this.#options.gaps.move(seat);
    this.#options.channels.replace(local, kind);
  }
}
