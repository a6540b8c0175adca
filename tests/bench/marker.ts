/**
 * What the load writes at the head of every message and reads from every delivery: "~", then the time of sending, the message's
 * number on its channel and the channel, in digits of five bits that no envelope escapes.
 */
export interface Marker {
  /** Microseconds on the load's clock, below 2^30: a load lives for less than 17 minutes. */
  atUs: number;
  /** From 1, below 2^25. */
  sequence: number;
  /** Below 2^20. */
  channel: number;
}

export const MARKER_BYTES = 16;
const TILDE = 0x7e;
/** "]" is the digit 0, "|" the digit 31. */
const ZERO = 0x5d;
const TIME_DIGITS = 6;
const SEQUENCE_DIGITS = 5;
const CHANNEL_DIGITS = 4;

/** Writes a marker; each byte is masked as a client's frame is (RFC 6455 §5.3), `at` being a multiple of 4 from the payload's start plus `phase`. */
export function writeMarker(bytes: Uint8Array, at: number, { atUs, sequence, channel }: Marker, mask: Uint8Array, phase: number): void {
  let offset = 0;
  const put = (byte: number): void => {
    bytes[at + offset] = byte ^ (mask[(phase + offset) & 3] ?? 0);
    offset += 1;
  };
  const digits = (value: number, count: number): void => {
    for (let shift = (count - 1) * 5; shift >= 0; shift -= 5) put(ZERO + ((value >>> shift) & 31));
  };
  put(TILDE);
  digits(atUs, TIME_DIGITS);
  digits(sequence, SEQUENCE_DIGITS);
  digits(channel, CHANNEL_DIGITS);
}

/** Reads a marker into `marker`, which is used again for every delivery; false where there is none. */
export function readMarker(bytes: Uint8Array, at: number, marker: Marker): boolean {
  if (bytes[at] !== TILDE) return false;
  marker.atUs = digitsAt(bytes, at + 1, TIME_DIGITS);
  marker.sequence = digitsAt(bytes, at + 1 + TIME_DIGITS, SEQUENCE_DIGITS);
  marker.channel = digitsAt(bytes, at + 1 + TIME_DIGITS + SEQUENCE_DIGITS, CHANNEL_DIGITS);
  return true;
}

function digitsAt(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index += 1) value = (value << 5) | ((bytes[index] ?? 0) - ZERO);
  return value;
}
