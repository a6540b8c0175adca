import { presenceOf } from "../../bus/bus.ts";
import type { Target } from "../../channels/kind.ts";
import { Problem } from "../../errors.ts";
import { authorize, credentialOf } from "../authorize.ts";
import type { Instance } from "../context.ts";
import { readBody } from "../request/body.ts";
import type { Rules } from "../rules.ts";
import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { isUtf8 } from "node:buffer";

/** `GET /presence/<path>`: lists who is on a channel, on all instances. */
export async function getPresence(instance: Instance, request: Request): Promise<Response> {
  instance.rules.origins.require(request.headers);
  const { rules, target } = await authorize(instance, request, "join", requirePresence);
  const { channel } = target;
  const { count, members } = await presenceOf(instance.sessions.hub.bus).members(channel);
  const answer = { channel, count, members: Array.from(members, ([id, { connections }]) => ({ id, connections })) };
  return Response.json(answer, { headers: rules.origins.corsHeaders(request.headers) });
}

/** @throws Problem `no-presence` */
function requirePresence({ kind }: Target): void {
  if (!kind.presence) throw new Problem("no-presence", "This channel does not tell who is on it.");
}

const MAX_BODY_BYTES = 16_384;
const orderSchema = Type.Object({ sub: Type.String({ minLength: 1 }) });

/** `POST /disconnect`: closes all connections of a subject, on all instances. It needs the API key. */
export async function disconnect(instance: Instance, request: Request): Promise<Response> {
  const { rules } = instance;
  const { origins } = rules;
  origins.require(request.headers);
  await requireKey(rules, request);
  const sub = parseSubject(await readBody(request, MAX_BODY_BYTES));
  // A reload may have changed the key while the body came.
  if (rules !== instance.rules) await requireKey(instance.rules, request);
  instance.accept();
  await instance.disconnections.order(sub);
  return Response.json({ sub }, { headers: origins.corsHeaders(request.headers) });
}

/** @throws Problem `unauthorized`, `forbidden` */
async function requireKey({ policy }: Rules, request: Request): Promise<void> {
  policy.requireKey(await policy.identify(credentialOf(request)));
}

/** @throws Problem `malformed-request` */
function parseSubject(body: Buffer): string {
  const order = isUtf8(body) ? parseJson(body.toString("utf8")) : undefined;
  if (!Value.Check(orderSchema, order)) throw new Problem("malformed-request", 'The body is JSON as in {"sub": "alice"}.');
  return order.sub;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
