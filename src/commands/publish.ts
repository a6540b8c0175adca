import { isUtf8 } from "node:buffer";
import { readAtMost } from "../lib/bounds.ts";
import { MAX_TIMER_MS } from "../lib/time.ts";
import type { Message } from "../message.ts";
import { parseChannelUrl, remoteCredential } from "../remote/channel-url.ts";
import { publishThere } from "../remote/publishing.ts";
import { UsageError } from "../errors.ts";
import { json } from "./line-output.ts";
import { print, expectWords, parseWait, type Options } from "./terminal.ts";

export const PUBLISH_HELP = `Publishes one message on a channel and waits until the server has confirmed it.

Usage:
  lockstep publish [--timeout 15s] [--idempotency-key KEY] <url> <text|->

  <url>   http(s)://host:port/<path>, or the /ws/<path> of it
  <text>  the message; write -- before one that begins with a dash
  -       all of standard input as one message, its last line break included: text if it is UTF-8, else binary

Options:
  --timeout DURATION     limit for all attempts together, once the message is read; the default is 15s
  --idempotency-key KEY  1 to 128 characters, on channels with history: the server publishes once for a key, even if it is
                         repeated within a minute. With a key, a message that is not confirmed is sent again until the
                         time is over. Without one there is one attempt.

Credentials come from LOCKSTEP_TOKEN, else LOCKSTEP_API_KEY.

Standard output is the server's answer in one line: {"channel":"rooms:lobby","id":"k3j9x0a2-7"}. On channels without history
id is null.

Examples:
  lockstep publish http://localhost:9001/rooms/lobby 'hello'
  lockstep publish http://localhost:9001/rooms/lobby -- '-5 degrees'
  printf %s '{"type":"deploy"}' | lockstep publish http://localhost:9001/rooms/lobby -
  lockstep publish --idempotency-key order-77-paid https://push.example/orders/77 'paid'
  LOCKSTEP_API_KEY=... lockstep publish https://push.example/users/7 - < picture.png

Exit codes: 0 confirmed, 1 it failed (standard error says whether the message may still arrive), 2 the arguments are wrong.
`;

const DEFAULT_TIMEOUT = "15s";
/** No server accepts larger messages. */
const MAX_MESSAGE_BYTES = 2 ** 30;
const MAX_KEY = 128;

/** Runs `lockstep publish`: publishes one message, from the arguments or from standard input. */
export async function publish(words: readonly string[], options: Options): Promise<number> {
  const [target = "", text = ""] = expectWords(words, 2, "publish takes a url and a text, or - for standard input");
  const { timeout = DEFAULT_TIMEOUT, "idempotency-key": idempotencyKey } = options;
  const url = parseChannelUrl(target);
  const timeoutMs = Math.min(MAX_TIMER_MS, parseWait("--timeout", timeout));
  if (idempotencyKey !== undefined && !new RegExp(`^[\\x21-\\x7e]{1,${MAX_KEY}}$`).test(idempotencyKey)) {
    throw new UsageError(`--idempotency-key takes 1 to ${MAX_KEY} characters of ASCII, without spaces`);
  }
  const credential = remoteCredential(process.env);
  const message = text === "-" ? await readInput() : text;
  const { channel, id } = await publishThere({ url, credential, message, idempotencyKey, timeoutMs });
  print(`${json({ channel, id })}\n`);
  return 0;
}

async function readInput(): Promise<Message> {
  const bytes = await readAtMost(Bun.stdin.stream(), MAX_MESSAGE_BYTES);
  if (bytes === undefined) throw new Error(`standard input has more than ${MAX_MESSAGE_BYTES} bytes, which no server takes as a message`);
  return isUtf8(bytes) ? bytes.toString("utf8") : bytes;
}
