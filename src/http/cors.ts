/**
 * A page of any origin may read the answers (https://fetch.spec.whatwg.org/#http-cors-protocol), as it may open a WebSocket: there
 * are no cookies that would make it somebody else's browser.
 */
export const ANY_ORIGIN = { "access-control-allow-origin": "*" } as const;
