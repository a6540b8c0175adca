/** The processes that share the port, this one among them. Every answer comes within two seconds. */
export interface Siblings {
  /** What all of them count, as `/metrics` shows it; undefined where nobody can tell. */
  metrics(): Promise<string | undefined>;
  /** Whether each that runs turns. */
  live(): Promise<boolean>;
  /** Whether all are there, and each is ready. */
  ready(): Promise<boolean>;
}
