/** An answer over HTTP; `status` is undefined where none came. */
export interface Answer {
  readonly status: number | undefined;
  readonly retryAfterS: number | undefined;
  /** Name of the problem (RFC 9457); empty for none. */
  readonly problem: string;
  readonly detail: string;
  /** The parsed JSON. */
  readonly body: unknown;
}

const TIMEOUT_MS = 8000;

/** Sends a GET with the token, if it is not empty. Never rejects. */
export async function ask(url: string, token: string, timeoutMs = TIMEOUT_MS): Promise<Answer> {
  try {
    const headers = token === "" ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
    const text = await response.text();
    const body: unknown = /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined;
    const retryAfterS = Number(response.headers.get("retry-after")) || undefined;
    const problem = field(body, "type").replace("urn:lockstep:problem:", "");
    return { status: response.status, retryAfterS, problem, detail: field(body, "detail"), body };
  } catch {
    return { status: undefined, retryAfterS: undefined, problem: "", detail: "", body: undefined };
  }
}

function field(body: unknown, name: string): string {
  const value = typeof body === "object" && body !== null ? Object.entries(body).find(([key]) => key === name)?.[1] : undefined;
  return typeof value === "string" ? value : "";
}
