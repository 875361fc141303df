/** How far long work has come, in whole things: connections, records, rows. */
export interface ProgressCounts {
  /** Includes those that failed. */
  readonly done: number;
  /** Null while it is not known. */
  readonly total: number | null;
  readonly failed: number;
}

/** Shows how far long work has come. The work may report as often as it likes. */
export interface Progress {
  report(counts: ProgressCounts): void;
}
