import { isUtf8 } from "node:buffer";
import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { Elysia } from "elysia";
import type { Disconnections } from "../sessions/disconnections.ts";
import { Problem } from "../errors.ts";
import { readBody } from "./body.ts";
import type { Instance } from "./context.ts";
import { credentialOf } from "./credential.ts";
import { otherMethods } from "./problems.ts";
import type { Rules } from "./rules.ts";

const ROUTE = "/disconnect";
const MAX_BODY_BYTES = 16_384;
const orderSchema = Type.Object({ sub: Type.String({ minLength: 1 }) });

/** `POST /disconnect`: closes all connections of a subject, cluster-wide, for those with the API key. */
export function disconnect(instance: Instance, disconnections: Disconnections) {
  return new Elysia({ name: "disconnect" })
    .post(
      ROUTE,
      async ({ request }) => {
        const { rules } = instance;
        const { origins } = rules;
        origins.require(request.headers);
        await requireKey(rules, request);
        const sub = parseSubject(await readBody(request, MAX_BODY_BYTES));
        // It has waited for the body: the key may be another by now.
        if (rules !== instance.rules) await requireKey(instance.rules, request);
        instance.accept();
        await disconnections.order(sub);
        return Response.json({ sub }, { headers: origins.corsHeaders(request.headers) });
      },
      { parse: "none" },
    )
    .all(ROUTE, otherMethods(instance, "POST"));
}

/** @throws Problem `unauthorized`, `forbidden` */
async function requireKey({ policy }: Rules, request: Request): Promise<void> {
  policy.requireKey(await policy.identify(credentialOf(request)));
}

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
