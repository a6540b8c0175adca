/** Waits for a thing, not for a while: resolves as soon as `happened` says so. */
export async function waitFor(what: string, happened: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs;
  while (!(await happened())) {
    if (Date.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await Bun.sleep(5);
  }
}

/** Only for what has to be shown not to happen. */
export function whileNothingHappens(ms: number): Promise<void> {
  return Bun.sleep(ms);
}
