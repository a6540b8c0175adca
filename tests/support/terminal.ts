import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";

/** The executable on a terminal of its own. */
export class TerminalProcess {
  /** What the terminal was sent. */
  shown = "";
  readonly exited: Promise<number>;
  readonly #child: Bun.Subprocess;

  private constructor(path: string, words: readonly string[], env: Record<string, string>) {
    const decoder = new TextDecoder();
    const closed = Promise.withResolvers<void>();
    this.#child = Bun.spawn([path, ...words], {
      cwd: mkdtempSync(join(tmpdir(), "lockstep-empty-")),
      env,
      terminal: {
        data: (_, data) => (this.shown += decoder.decode(data, { stream: true })),
        exit: () => closed.resolve(),
      },
    });
    this.exited = Promise.all([this.#child.exited, closed.promise]).then(([code]) => code);
  }

  static async start(words: readonly string[], env: Record<string, string> = {}): Promise<TerminalProcess> {
    return new TerminalProcess(await executable(), words, env);
  }

  end(signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<number> {
    this.#child.kill(signal);
    return this.exited;
  }
}
