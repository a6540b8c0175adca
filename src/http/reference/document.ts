import { toOpenAPISchema } from "@elysiajs/openapi/openapi";
import type { AnyElysia } from "elysia";
import { POSITION } from "../../position.ts";
import manifest from "../../../package.json" with { type: "json" };
import { EXAMPLE_PATH, EXAMPLE_POSITION } from "./channel.ts";
import { introduction } from "./introduction.ts";
import { refusalsOf } from "./operation.ts";

/** The version that most tools read, and that Elysia's `detail` is written in. */
const OPENAPI_VERSION = "3.0.3";

const tags = [
  { name: "Clients", description: "Join a channel and hear it." },
  { name: "Backends", description: "Publish, look, and disconnect, from a program that keeps no connection." },
  { name: "Operators", description: "How the server is, and this document." },
];

const components = {
  parameters: {
    ChannelPath: {
      in: "path",
      name: "path",
      required: true,
      description: "The channel: segments with slashes between them, which are not encoded.",
      schema: { type: "string" },
      example: EXAMPLE_PATH,
    },
  },
  schemas: {
    Position: {
      type: "string",
      pattern: POSITION.source,
      description: "A position in the channel's history, `<epoch>-<offset>`",
      example: EXAMPLE_POSITION,
    },
    Problem: {
      type: "object",
      description: "What went wrong (RFC 9457)",
      required: ["type", "title", "status", "detail"],
      properties: {
        type: { type: "string", pattern: "^urn:lockstep:problem:[a-z-]+$", description: "The name of the fault, for programs" },
        title: { type: "string", description: "The same for people" },
        status: { type: "integer", description: "The HTTP status" },
        detail: { type: "string", description: "What it was this time" },
      },
    },
  },
  responses: { NoRoute: refusalsOf(["no-route"])["404"], WrongMethod: refusalsOf(["wrong-method"])["405"] },
  securitySchemes: {
    token: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "A client's token" },
    tokenInQuery: { type: "apiKey", in: "query", name: "token", description: "A client's token, where no header can be set" },
    tokenInSubprotocol: {
      type: "apiKey",
      in: "header",
      name: "Sec-WebSocket-Protocol",
      description: 'A client\'s token, for browsers: `new WebSocket(url, ["lockstep", "lockstep.token." + token])`',
    },
    apiKey: {
      type: "http",
      scheme: "bearer",
      description: "The API key, for backends: as a Bearer token, and in no other place, it may do everything",
    },
  },
};

/** The reference of an app's routes (https://spec.openapis.org/oas/v3.0.3): what each says of itself as its `detail`, and what they have in common. */
export function documentOf(app: AnyElysia): object {
  // Beside each route stands one for the other methods, which is no part of it; HEAD is as GET.
  const { paths } = toOpenAPISchema(app, { methods: ["all", "head"] }, undefined, undefined, OPENAPI_VERSION);
  return {
    openapi: OPENAPI_VERSION,
    info: { title: "Lockstep", version: manifest.version, description: introduction, license: { name: manifest.license } },
    servers: [{ url: "/" }],
    tags,
    paths: Object.fromEntries(Object.entries(paths).map(([path, item]) => [path.replace("*", "{path}"), item])),
    components,
  };
}
