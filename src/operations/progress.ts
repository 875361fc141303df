/** How far long work has come. Counts are of whole things: connections, records, rows. */
export interface ProgressCounts {
  readonly done: number;
  /** Null while it is not known. */
  readonly total: number | null;
  /** Of `done`: those that could not be done. */
  readonly failed: number;
}

/** Who long work tells how far it has come, as often as it likes. */
export interface Progress {
  report(counts: ProgressCounts): void;
}
