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
