const pad = (value: number, digits: number): string => String(value).padStart(digits, "0");

/** Formats the time of day. By hand, since `Intl` takes longer than the rest of a row. */
export function clockOf(atMs: number): string {
  const date = new Date(atMs);
  return `${pad(date.getHours(), 2)}:${pad(date.getMinutes(), 2)}:${pad(date.getSeconds(), 2)}.${pad(date.getMilliseconds(), 3)}`;
}

/** Formats day and time. */
export function dateOf(atMs: number): string {
  const date = new Date(atMs);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1, 2)}-${pad(date.getDate(), 2)} ${clockOf(atMs)}`;
}

const WIDTH = 16;

/** Formats bytes as lines of an offset, sixteen bytes in hex, and their ASCII. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += WIDTH) {
    const row = Array.from(bytes.subarray(start, start + WIDTH));
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${start.toString(16).padStart(6, "0")}  ${hex.padEnd(3 * WIDTH - 1)}  ${ascii}`);
  }
  return lines.join("\n");
}

/** Formats a size for people. */
export function showBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** Shown characters of an epoch: enough to tell two apart. */
const SHOWN_EPOCH = 6;

/** Shortens the epoch of a position: people read the offset. */
export function showPosition(position: string): string {
  const mark = position.lastIndexOf("-");
  return mark <= SHOWN_EPOCH + 2 ? position : `${position.slice(0, SHOWN_EPOCH)}…${position.slice(mark)}`;
}
