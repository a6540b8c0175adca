/** The words of the command line, or what stands in the environment for them, are wrong. */
export class UsageError extends Error {}
