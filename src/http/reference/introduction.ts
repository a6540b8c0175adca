import { builtinKinds } from "../../channels/builtin.ts";
import { closings } from "../../errors.ts";

const yes = (value: unknown): string => (value === undefined || value === false ? "" : "yes");

/** What stands above all routes, as CommonMark. */
export const introduction = `What a client sends on a channel reaches every client of that channel, on every instance, in one order, byte for byte: by WebSocket, as
server-sent events, or by plain HTTP.

## Channels

\`{path}\` names a channel: one or more segments with slashes between them, as in \`rooms/lobby\`. Each segment is percent-encoded by itself, and has 1 to 255 bytes of
UTF-8 when decoded. **The slashes between segments are not encoded**: OpenAPI has no word for that, and clients generated from this document have to be told.

Which paths lead to a channel, and what it does, is said by the server's configuration; without one these do:

| path | history | presence | envelope |
|---|---|---|---|
${builtinKinds.map((kind) => `| \`${kind.path}\` | ${yes(kind.history)} | ${yes(kind.presence)} | ${kind.envelope === undefined ? "" : `\`${kind.envelope}\``} |`).join("\n")}

In answers \`channel\` is the channel's name in Redis.

## Positions

On a channel with history every message has a position, \`<epoch>-<offset>\`. The epoch is an opaque token without \`-\`; positions of different epochs cannot be compared.
The offset grows by one with each message. So a client that knows where it began knows its position by counting what it was sent.

To go on where you were, say the position of the last message that you have: \`?since=\` for WebSockets and \`/history\`, \`Last-Event-ID\` for event streams, which browsers send by
themselves. What came after it follows first, then what is live, with none missing, doubled or out of order. Where that cannot be (the position is too old, ahead, or of another
epoch) you are told, by \`resumed: false\` or an event \`reset\`, and get all that is kept.

## Access

Without keys the server is open, but for what its configuration shuts. With keys a channel says who may join, read and publish: everybody, those with a token for it, or the API key alone. A token is a JSON Web Token
with \`exp\`, \`sub\` (who it is) and \`lockstep\`, what it may do: \`{"subscribe": ["rooms/*"], "publish": ["rooms/lobby"]}\`. In these patterns \`*\` stands for one segment and a last \`**\` for one or more.
A token that is not valid is refused also on channels that need none. What is said first counts: the header, the query, the subprotocol.

Browsers of pages whose origin is not on the server's list, if it has one, get 403; all others may read every answer (CORS), the faults too.

## Faults

Every fault is \`application/problem+json\` (RFC 9457), and its \`type\` is the name that stands in the examples here. A path that is none of these is 404 (\`no-route\`), another method
405 (\`wrong-method\`) with \`Allow\`. HEAD is answered as GET is, without the body, but for \`/sse\`, where it is 405. Of several faults the first of this order is answered: route 404 and 405, origin 403, number of
connections 503 and 429, path 400, channel 404, token 401, right 403, query 400, upgrade 426, subprotocol 400, bus 503. What is no HTTP is refused by the parser, with an empty body.
`;

/** What the close codes of a WebSocket say, as a table. */
export const closeTable = `| close code | when | reconnect? | reason |
|---|---|---|---|
${Object.entries(closings)
  .map(
    ([code, { when, reconnect, saysPosition }]) =>
      `| ${code} | ${when} | ${reconnect} | ${saysPosition ? "the position of the last frame" : ""} |`,
  )
  .join("\n")}
`;
