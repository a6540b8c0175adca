/** The line by which the bench knows that a server listens. */
export function announce(port: number, pid = process.pid): void {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}`, pid })}\n`);
}
