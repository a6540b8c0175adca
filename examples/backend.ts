/**
 * A backend that publishes a notification, once, whatever becomes of the answer:
 * `LOCKSTEP_API_KEY=… bun examples/backend.ts orders "Order 7 has been paid"` (or node, from 22.18 on).
 */
import { randomUUID } from "node:crypto";

const SERVER = process.env["LOCKSTEP_URL"] ?? "http://localhost:9001";
const API_KEY = process.env["LOCKSTEP_API_KEY"] ?? "";

/** A repeat is known as one for 60 s, so the last has to come before that. */
const GIVE_UP_MS = 45_000;
const ATTEMPT_MS = 8000;

type Attempt = { readonly position: string } | { readonly said: string; readonly againInS: number | undefined };

/** @param key the same for every repeat, so that what has arrived already is not published again */
async function attempt(path: string, body: string, key: string): Promise<Attempt> {
  const response = await fetch(`${SERVER}/publish/${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${API_KEY}`, "idempotency-key": key },
    body,
    signal: AbortSignal.timeout(ATTEMPT_MS),
  });
  const said = await response.text();
  if (response.ok) {
    const { id }: { id: string } = JSON.parse(said);
    return { position: id };
  }
  // Not confirmed, which is not to say that it has not arrived. All other answers are final.
  return { said, againInS: response.status === 503 ? Number(response.headers.get("retry-after") ?? 1) : undefined };
}

/** Resolves with the position of the message. */
async function publish(path: string, body: string, key: string): Promise<string> {
  const deadlineMs = Date.now() + GIVE_UP_MS;
  for (;;) {
    const outcome = await attempt(path, body, key).catch((error: unknown) => ({ said: String(error), againInS: 1 }));
    if ("position" in outcome) return outcome.position;
    const { said, againInS } = outcome;
    if (againInS === undefined || Date.now() + againInS * 1000 > deadlineMs) throw new Error(said);
    console.error(`again in ${againInS} s: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, againInS * 1000));
  }
}

const [topic, text] = process.argv.slice(2);
if (topic === undefined || text === undefined) throw new Error("usage: backend.ts TOPIC TEXT");
const id = randomUUID();
console.log(await publish(`notifications/${encodeURIComponent(topic)}`, JSON.stringify({ id, at: Date.now(), text }), id));
