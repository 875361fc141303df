const MIB = 1024 * 1024;

/**
 * The limits of one input. docs/events.md has the same table; a test compares them. An input over a limit is refused and
 * does not stop the worker: it becomes a dead letter, without its payload if that is too large.
 */
export const LIMITS = {
  /** Bytes of one record, decompressed: key, value and headers. Also bytes of a line of `pipe`. */
  recordBytes: 2 * MIB,
  /** Headers of one record. */
  recordHeaders: 1_000,
  /** Bytes of a decompressed batch. */
  batchBytes: 32 * MIB,
  /** Records of one batch. */
  batchRecords: 100_000,
  /** Levels of objects and arrays in one JSON text. */
  jsonDepth: 200,
  /** Values in one JSON text: objects, arrays, texts, numbers and words. */
  jsonValues: 25_000,
  /** Secret fields of one event. */
  secretFields: 1_000,
  /** Characters of the JSON Pointers of all secret fields of one event: a long key is part of every pointer below it. */
  fieldNames: MIB,
} as const;
