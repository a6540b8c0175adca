export { BrowserSockets, isToken, type BrowserEnd, type BrowserSocketsOptions } from "./browser-sockets.ts";
export type { Reconnect } from "./close-codes.ts";
export {
  Channel,
  type Beginning,
  type ChannelListener,
  type ChannelOptions,
  type Socket,
  type SocketEvents,
  type Sockets,
  type Start,
  type State,
} from "./channel.ts";
export { delayMs, reconnectAfter, repeat, type Outcome, type SocketEnd } from "./reconnect.ts";
