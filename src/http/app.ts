import { Elysia } from "elysia";
import type { Handler, Instance } from "./context.ts";
import { getReference } from "./openapi.ts";
import { problemAnswer, wrongMethod } from "./problems.ts";
import { getConsole, requireRoot } from "./routes/console.ts";
import { disconnect, getPresence } from "./routes/clients.ts";
import { getLiveness, getReadiness, getMetrics } from "./routes/operations.ts";
import { getHistory } from "./routes/history.ts";
import { publish } from "./routes/publish.ts";
import { joinAsEventStream } from "./routes/sse.ts";
import { joinByWebSocket } from "./routes/ws.ts";

export interface Route {
  /** `*` stands for a channel's path. Elysia decodes a `:param` wrongly, so handlers read the raw path. */
  readonly path: string;
  readonly handler: Handler;
  /** The methods that `handler` takes; `Allow` names them. Elysia answers HEAD like GET even if HEAD is not named. */
  readonly methods: readonly ("GET" | "HEAD" | "POST")[];
  /** Checks the request before its method. @throws Problem if the request was not for this route */
  readonly requirePath?: (url: string) => void;
}

/** All routes of the server. `openapi.yaml` describes each of them. */
export const routes: readonly Route[] = [
  { path: "/ws/*", handler: joinByWebSocket, methods: ["GET"] },
  { path: "/sse/*", handler: joinAsEventStream, methods: ["GET"] },
  { path: "/publish/*", handler: publish, methods: ["POST"] },
  { path: "/history/*", handler: getHistory, methods: ["GET"] },
  { path: "/presence/*", handler: getPresence, methods: ["GET"] },
  { path: "/disconnect", handler: disconnect, methods: ["POST"] },
  { path: "/metrics", handler: getMetrics, methods: ["GET"] },
  { path: "/livez", handler: getLiveness, methods: ["GET"] },
  { path: "/readyz", handler: getReadiness, methods: ["GET"] },
  { path: "/openapi/json", handler: getReference, methods: ["GET"] },
  { path: "/", handler: getConsole, methods: ["GET", "HEAD"], requirePath: requireRoot },
];

/**
 * Mounts the routes. `.ws()` is never used: it parses frames before any hook sees them.
 *
 * Without `standardHostname: false` Elysia answers 404 to a Host of three characters or fewer.
 */
export function createApp(instance: Instance): Elysia {
  const app = new Elysia({ handler: { standardHostname: false } });
  app.onError(({ code, error, request, server }) => problemAnswer(instance, request, server, code, error));
  for (const route of routes) mount(app, route, instance);
  return app;
}

function mount(app: Elysia, { path, handler, methods, requirePath }: Route, instance: Instance): void {
  const allow = methods.join(", ");
  for (const method of methods) {
    app.route(
      method,
      path,
      async ({ request, server }) => {
        requirePath?.(request.url);
        return handler(instance, request, server);
      },
      // Handlers read bodies themselves, and bound them.
      { parse: "none" },
    );
  }
  // Without a route for all methods Elysia answers 404 to a wrong one.
  app.all(path, ({ request }) => {
    requirePath?.(request.url);
    return wrongMethod(instance, request, allow);
  });
}
