const pad = (value: number, digits: number): string => String(value).padStart(digits, "0");

/** The time of a day as a log has it; by hand, since `Intl` takes longer than all the rest of a line. */
export function clockOf(atMs: number): string {
  const date = new Date(atMs);
  return `${pad(date.getHours(), 2)}:${pad(date.getMinutes(), 2)}:${pad(date.getSeconds(), 2)}.${pad(date.getMilliseconds(), 3)}`;
}

/** Day and time, for where it may be another day. */
export function dateOf(atMs: number): string {
  const date = new Date(atMs);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1, 2)}-${pad(date.getDate(), 2)} ${clockOf(atMs)}`;
}

const WIDTH = 16;

/** Bytes as people read them: an offset, sixteen bytes, and what of them is ASCII, on each line. */
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

/** A size for people. */
export function showBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** Characters of an epoch that are shown: enough to recognise another one. */
const SHOWN_EPOCH = 6;

/** A position for people, who look at the offset. */
export function showPosition(position: string): string {
  const mark = position.lastIndexOf("-");
  return mark <= SHOWN_EPOCH + 2 ? position : `${position.slice(0, SHOWN_EPOCH)}…${position.slice(mark)}`;
}
