import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import { builtinKinds } from "../../../src/channels/builtin.ts";
import { closings, faults } from "../../../src/errors.ts";
import { routes } from "../../../src/http/app.ts";
import { POSITION } from "../../../src/position.ts";
import { Instance } from "../../support/instance.ts";
import { Reference } from "../../support/reference.ts";
import { API_KEY, SECRET } from "../../support/tokens.ts";

const GOOD = "https://good.example";
const HTTP_FOLDER = join(import.meta.dir, "../../../src/http");
/** Headers that any request may have. No route documents them as its own. */
const GENERAL_HEADERS = new Set(["content-length", "content-type", "host", "origin", "x-forwarded-for"]);

/** Returns the names of all query parameters and headers that the source of the routes reads. */
async function namesRead(): Promise<string[]> {
  const files = ["authorize.ts", ...new Bun.Glob("{routes,request}/*.ts").scanSync(HTTP_FOLDER)];
  const sources = await Promise.all(files.map((file) => Bun.file(join(HTTP_FOLDER, file)).text()));
  return sources.flatMap((source) => Array.from(source.matchAll(/(?:headers|query|\))\??\.get\("([^"]+)"\)/g), ([, name = ""]) => name));
}

describe("the reference", () => {
  let instance: Instance;
  let reference: Reference;
  beforeAll(async () => {
    const env = { LOCKSTEP_ORIGINS: GOOD, LOCKSTEP_API_KEY: API_KEY, LOCKSTEP_JWT_SECRET: SECRET };
    instance = await Instance.start({ env });
    reference = await Reference.of(instance.url);
  });
  afterAll(() => instance.stop());

  test("is valid OpenAPI, of this version, for the server that it comes from", () => {
    const { openapi, info, servers } = reference.document;
    expect(reference.faults).toBeUndefined();
    expect([openapi, info.version, servers]).toEqual(["3.0.3", manifest.version, [{ url: "/" }]]);
  });

  test("has every route and method of the app, and no other; each says what it is for", () => {
    const documented = reference.operations.map(({ method, path }) => `${method} ${path}`);
    const mounted = routes.flatMap(({ methods, path }) =>
      methods.filter((method) => method !== "HEAD").map((method) => `${method} ${path.replace("*", "{path}")}`),
    );
    expect(documented.toSorted()).toEqual(mounted.toSorted());
    expect(documented.toSorted()).toEqual([
      "GET /",
      "GET /history/{path}",
      "GET /livez",
      "GET /metrics",
      "GET /openapi/json",
      "GET /presence/{path}",
      "GET /readyz",
      "GET /sse/{path}",
      "GET /ws/{path}",
      "POST /disconnect",
      "POST /publish/{path}",
    ]);
    expect(new Set(reference.operations.map(({ operationId }) => operationId)).size).toBe(documented.length);
    const tags = new Set(reference.document.tags.map(({ name }) => name));
    for (const { path, summary, tags: own, security, responses, parameters = [] } of reference.operations) {
      expect([path, summary, tags.has(own[0] ?? ""), security.length > 0]).toEqual([path, expect.any(String), true, true]);
      expect(Object.keys(responses).length).toBeGreaterThan(2);
      expect(parameters.some((parameter) => parameter.in === "path")).toBe(path.includes("{path}"));
    }
  });

  test("documents each parameter that a handler reads, and no other", async () => {
    const parameters = reference.operations.flatMap(({ parameters: own = [] }) => own.filter((one) => one.in !== "path"));
    const credentials = Object.values(reference.document.components.securitySchemes).map(({ name = "Authorization" }) => name);
    const documented = [...parameters.map(({ name }) => name), ...credentials].map((name) => name.toLowerCase());
    const read = (await namesRead()).filter((name) => !name.startsWith("access-control-") && !GENERAL_HEADERS.has(name));
    expect([...new Set(documented)].toSorted()).toEqual([...new Set(read)].toSorted());
  });

  test("names faults as the table of errors has them, and leaves no placeholder", () => {
    for (const operation of reference.operations) {
      for (const [status, { content }] of Object.entries(operation.responses)) {
        const names = Object.keys(content?.["application/problem+json"]?.examples ?? {});
        const statuses = Object.entries(faults).flatMap(([name, fault]) => (names.includes(name) ? [String(fault.status)] : []));
        expect([operation.operationId, statuses]).toEqual([operation.operationId, names.map(() => status)]);
      }
    }
    expect(reference.json).not.toMatch(/x-faults|\{closeCodes\}|\{builtinKinds\}/);
  });

  test("has the built-in kinds, and the pattern of positions, as the code has them", () => {
    const { info, components } = reference.document;
    const paths = Array.from(info.description.matchAll(/^\| `([^`]+)` \|/gm), ([, path]) => path);
    expect(paths).toEqual(builtinKinds.map(({ path }) => path));
    expect(components.schemas["Position"]?.pattern).toBe(POSITION.source);
  });

  test("says of WebSockets what every close code means, and whether to come back", () => {
    const { description = "" } = reference.get("joinByWebSocket");
    const rows = [...description.matchAll(/^\| (\d{4}) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$/gm)];
    expect(rows.map(([, code, , reconnect, reason]) => [Number(code), reconnect, reason !== ""])).toEqual([
      [1001, "yes, at once", true],
      [1002, "no", false],
      [1003, "no", false],
      [1007, "no", false],
      [1008, "yes, later", false],
      [1009, "no", false],
      [1011, "yes, later", true],
      [1013, "yes, at once", true],
      [3000, "with another token", true],
      [3003, "no", false],
    ]);
    expect(rows.map(([, , when]) => when)).toEqual(Object.values(closings).map(({ when }) => when));
  });

  test("needs no token, names no other host, and has no page beside it", async () => {
    for (const headers of [{}, { authorization: "Bearer bad" }]) {
      const response = await fetch(`${instance.url}/openapi/json`, { headers });
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
    }
    expect(reference.json).not.toMatch(/https?:\/\//);
    for (const path of ["/openapi", "/openapi/", "/swagger", "/swagger/json", "/openapi/json/x"]) {
      const response = await fetch(`${instance.url}${path}`);
      expect([path, response.status, response.headers.get("content-type")]).toEqual([path, 404, "application/problem+json"]);
    }
  });

  test("is the same for everybody, and need not be sent again to who has it", async () => {
    const url = `${instance.url}/openapi/json`;
    const etag = (await fetch(url)).headers.get("etag") ?? "";
    const other = await Instance.start();
    expect((await fetch(`${other.url}/openapi/json`)).headers.get("etag")).toBe(etag);
    await other.stop();
    const ask = async (tag: string): Promise<unknown[]> => {
      const response = await fetch(url, { headers: { "if-none-match": tag } });
      const { status, headers } = response;
      const body = await response.text();
      expect(reference.differences(reference.get("getReference"), { status, headers, body })).toEqual([]);
      return [status, headers.get("etag"), headers.get("cache-control"), body.length];
    };
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) expect(await ask(tag)).toEqual([304, etag, "no-cache", 0]);
    for (const tag of ['"x"', "", etag.slice(1, -1)]) expect(await ask(tag)).toEqual([200, etag, "no-cache", reference.json.length]);
  });

  test("answers HEAD, refuses other methods, and lets pages of allowed origins read it", async () => {
    const ask = (method: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${instance.url}/openapi/json`, { method, headers });
    const head = await ask("HEAD");
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
      200,
      String(Buffer.byteLength(reference.json)),
      "",
    ]);
    const post = await ask("POST");
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET"]);
    expect((await ask("GET", { origin: "https://evil.example" })).status).toBe(403);
    const read = await ask("GET", { origin: GOOD });
    expect([read.status, read.headers.get("access-control-allow-origin"), read.headers.get("vary")]).toEqual([200, GOOD, "Origin"]);
    const preflight = await ask("OPTIONS", { origin: GOOD, "access-control-request-method": "GET" });
    expect([preflight.status, preflight.headers.get("access-control-allow-methods")]).toEqual([204, "GET"]);
    // Another method comes before another origin.
    expect((await ask("PUT", { origin: "https://evil.example" })).status).toBe(405);
  });
});
