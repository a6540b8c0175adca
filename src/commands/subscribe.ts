import { parsePosition } from "../position.ts";
import { parseChannelUrl, remoteCredential } from "../remote/channel-url.ts";
import { Subscription, type SubscriptionOptions } from "../remote/subscription.ts";
import { UsageError } from "../errors.ts";
import { within } from "../lib/time.ts";
import { LineOutput, jsonLine, plainLine } from "./line-output.ts";
import { complain, mention, expectWords, type Options } from "./terminal.ts";

export const SUBSCRIBE_HELP = `Writes the messages of a channel to standard output, one line each, until you stop it.

Usage:
  lockstep subscribe [--since ID | --recent N] [--json] <url>

  <url>  http(s)://host:port/<path>, or the /ws/<path> of it

Options:
  --since ID   begin after this position, on channels with history
  --recent N   begin with the last N kept messages, on channels with history
  --json       every line is {"id":"...","text":"..."} or {"id":"...","base64":"..."}, as in GET /history; id is the message's
               position, or null on channels without history

A text is written as it is. Binary messages, and texts with line breaks or other control characters except tabs, are written as
{"lockstep:base64":"..."} or {"lockstep:text":"..."}. So is a text that itself begins with {"lockstep: and no other.

After a lost connection it reconnects, at first within a second, later within 30 s, or when the server asks for it, and goes on
where it was. On a channel with history it loses and repeats nothing. If the server no longer keeps enough, and after each loss
on a channel without history, a line on standard error says that messages may be missing. It ends where reconnecting makes no
sense: if the first connection fails, access is refused, the token has expired, or the operator has disconnected it. If standard
output is read too slowly, it stops reading from the server: it holds no more than a few hundred kilobytes.

Credentials come from LOCKSTEP_TOKEN, else LOCKSTEP_API_KEY.

Examples:
  lockstep subscribe http://localhost:9001/rooms/lobby
  lockstep subscribe --recent 10 http://localhost:9001/rooms/lobby | jq .type
  lockstep subscribe --json http://localhost:9001/rooms/lobby >> lobby.ndjson
  lockstep subscribe --json --since "$(tail -n 1 lobby.ndjson | jq -r .id)" http://localhost:9001/rooms/lobby >> lobby.ndjson

Exit codes: 0 stopped by SIGINT, SIGTERM or SIGHUP (standard error names the position to go on from) or its reader has gone, which
is noticed with the next message, 1 it failed, 2 the arguments are wrong.
`;

/** Longest wait for the last lines and the close, if standard output is not read. */
const GOODBYE_MS = 100;

/** Runs `lockstep subscribe`: writes the messages of a channel, one line each. */
export async function subscribe(words: readonly string[], { since, recent, json = false }: Options): Promise<number> {
  const [target = ""] = expectWords(words, 1, "subscribe takes one url");
  const url = parseChannelUrl(target);
  const from = parseStart(since, recent);
  const credential = remoteCredential(process.env);
  const stopped = Promise.withResolvers<number>();
  const format = json ? jsonLine : plainLine;
  const output = new LineOutput(process.stdout, {
    full: () => subscription.pause(),
    drained: () => subscription.resume(),
    failed: (error) => {
      const gone = "code" in error && error.code === "EPIPE";
      if (!gone) complain(`standard output cannot be written (${error.message})`);
      stopped.resolve(gone ? 0 : 1);
    },
  });
  const subscription = new Subscription({
    url,
    credential,
    from,
    notify: mention,
    deliver: (message, id) => output.write(format(message, id), id),
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stopped.resolve(0));
  const ended = await Promise.race([stopped.promise, subscription.run()]);
  subscription.stop();
  await within(GOODBYE_MS, output.settled());
  if (typeof ended === "string") complain(ended);
  const reached = output.written ?? (ended === 0 ? subscription.began : null);
  if (!output.failed && reached !== null) mention(`stopped; --since ${reached} goes on from here`);
  // Unread output would keep the process alive, and so would a server that does not answer the close.
  return process.exit(typeof ended === "number" ? ended : 1);
}

/** @throws UsageError */
function parseStart(since: string | undefined, recent: string | undefined): SubscriptionOptions["from"] {
  if (since !== undefined && recent !== undefined) throw new UsageError("subscribe takes --since or --recent, not both");
  if (since !== undefined) {
    if (parsePosition(since) === undefined) throw new UsageError("--since takes a position, <epoch>-<offset>, as publish answers it");
    return { since };
  }
  if (recent === undefined) return undefined;
  if (!/^[1-9][0-9]{0,8}$/.test(recent)) throw new UsageError("--recent takes a number from 1 on");
  return { recent: Number(recent) };
}
