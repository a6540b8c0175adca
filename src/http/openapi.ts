import { Elysia, type AnyElysia } from "elysia";
import type { Instance } from "./context.ts";
import { etagOf, isKnown } from "./etag.ts";
import { otherMethods } from "./problems.ts";
import { cachedHeaders, ifNoneMatch } from "./reference/cached.ts";
import { documentOf } from "./reference/document.ts";
import { operation } from "./reference/operation.ts";

const ROUTE = "/openapi/json";

interface Reference {
  readonly json: string;
  readonly etag: string;
}

/**
 * `GET /openapi/json`: the reference of all routes of the app that this becomes a part of. It is made when somebody first asks.
 *
 * Of Elysia's plugin only what makes the document is taken: its page loads scripts from elsewhere, and its route would write each
 * refusal to standard output, which is the log.
 */
export function openapi(instance: Instance) {
  const plugin = new Elysia({ name: "openapi" });
  let reference: Reference | undefined;
  return plugin
    .get(
      ROUTE,
      ({ request }) => {
        const { origins } = instance.rules;
        origins.require(request.headers);
        const { json, etag } = (reference ??= referenceOf(plugin));
        const headers = { ...origins.corsHeaders(request.headers), etag, "cache-control": "no-cache" };
        if (isKnown(request.headers, etag)) return new Response(null, { status: 304, headers });
        return new Response(json, { headers: { ...headers, "content-type": "application/json" } });
      },
      { detail },
    )
    .all(ROUTE, otherMethods(instance, "GET"));
}

const detail = operation({
  operationId: "getReference",
  tags: ["Operators"],
  summary: "This document",
  description: "Needs no token.",
  security: [{}],
  parameters: [ifNoneMatch],
  answers: {
    200: {
      description: "An OpenAPI document",
      headers: cachedHeaders,
      content: {
        "application/json": {
          schema: { type: "object", required: ["openapi", "info", "paths"], additionalProperties: true },
        },
      },
    },
    304: { description: "You have it", headers: cachedHeaders },
  },
  // Where the Host is none: of routes with one slash Elysia finds the way all the same.
  refusals: ["malformed-request"],
});

function referenceOf(app: AnyElysia): Reference {
  const json = JSON.stringify(documentOf(app));
  return { json, etag: etagOf(json) };
}
