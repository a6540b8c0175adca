/** How a message travels to and from one kind of server. A text that carries no marker goes to `answer`. */
export interface Envelope {
  /** The path to join a channel by. */
  target(channel: number): string;
  /** Stands before and after the message, on the way in and on the way out alike. */
  readonly before: string;
  readonly after: string;
  /** What a client has to say before it is on its channel; without it, it is there with the 101. */
  readonly greets?: true;
  /** What a client answers to a text of the protocol, and whether it is on its channel now. */
  answer(text: string, channel: number): { readonly send?: string; readonly joined?: true };
}

const silent = (): Record<string, never> => ({});

/** The message is the whole frame. */
function plain(folder: string): Envelope {
  return { target: (channel) => `${folder}/${channel}`, before: "", after: "", answer: silent };
}

/**
 * Engine.IO 4 and Socket.IO 5 on a WebSocket from the start, without the polling that browsers begin with
 * (https://socket.io/docs/v4/engine-io-protocol/, https://socket.io/docs/v4/socket-io-protocol/).
 */
const socketIo: Envelope = {
  target: () => "/socket.io/?EIO=4&transport=websocket",
  before: '42["m","',
  after: '"]',
  greets: true,
  answer(text, channel) {
    if (text.startsWith("0{")) return { send: "40" };
    if (text.startsWith("40")) return { send: `420["join","${channel}"]` };
    if (text.startsWith("430")) return { joined: true };
    return text === "2" ? { send: "3" } : {};
  },
};

export const envelopes = {
  rooms: plain("/ws/rooms"),
  logs: plain("/ws/logs"),
  socketIo,
} as const satisfies Record<string, Envelope>;

export type EnvelopeName = keyof typeof envelopes;
