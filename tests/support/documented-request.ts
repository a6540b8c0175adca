import { Client } from "./client.ts";
import type { Answer, Operation, Parameter } from "./reference.ts";

/** A request as the reference describes it: values for its parameters by name, and a body. */
export interface Wish {
  readonly values?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly mediaType?: string;
}

/** The request that an operation's own examples make: what it requires, and its first body. */
export function exampleOf({ parameters = [], requestBody }: Operation): Wish {
  const required = parameters.filter((parameter) => parameter.required === true);
  const [body] = bodiesOf(requestBody?.content ?? {});
  return { values: valuesOf(required), ...body };
}

/** That request, and for everything that may be left out or be another the same with it. */
export function examplesOf(operation: Operation): Wish[] {
  const base = exampleOf(operation);
  const wishes = [base];
  for (const parameter of operation.parameters ?? []) {
    if (parameter.required !== true) wishes.push({ ...base, values: { ...base.values, ...valuesOf([parameter]) } });
  }
  for (const body of bodiesOf(operation.requestBody?.content ?? {}).slice(1)) wishes.push({ ...base, ...body });
  return wishes;
}

/** Sends it, and resolves with the answer; of a stream with its headers alone. */
export async function send(url: string, operation: Operation, wish: Wish): Promise<Answer> {
  const headers: Record<string, string> = wish.mediaType === undefined ? {} : { "Content-Type": wish.mediaType };
  const query = new URLSearchParams(wish.query);
  for (const { in: place, name } of operation.parameters ?? []) {
    const value = wish.values?.[name];
    if (value !== undefined && place === "header") headers[name] = value;
    else if (value !== undefined && place === "query") query.set(name, value);
  }
  Object.assign(headers, wish.headers);
  const path = operation.path.replace("{path}", wish.values?.["path"] ?? "");
  const target = query.size > 0 ? `${path}?${query.toString()}` : path;
  if (headers["Upgrade"] !== undefined) return handshake(Number(new URL(url).port), target, headers);
  const abort = new AbortController();
  const { method } = operation;
  const response = await fetch(`${url}${target}`, {
    method,
    headers,
    signal: abort.signal,
    ...(wish.body === undefined ? {} : { body: wish.body }),
  });
  const isStream = response.headers.get("content-type") === "text/event-stream";
  const body = isStream ? "" : await response.text();
  abort.abort();
  return { status: response.status, headers: response.headers, body };
}

async function handshake(port: number, target: string, headers: Record<string, string>): Promise<Answer> {
  const { client, answer } = await Client.ask(port, target, { headers });
  client.destroy();
  return answer;
}

function valuesOf(parameters: readonly Parameter[]): Record<string, string> {
  return Object.fromEntries(parameters.map(({ name, example }) => [name, String(example)]));
}

function bodiesOf(content: NonNullable<Operation["requestBody"]>["content"]): Wish[] {
  return Object.entries(content)
    .filter(([, { example }]) => example !== undefined)
    .map(([mediaType, { example }]) => ({ mediaType, body: typeof example === "string" ? example : JSON.stringify(example) }));
}
