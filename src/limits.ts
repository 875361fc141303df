const MIB = 1024 * 1024;

/**
 * What one input may cost, in one place: docs/events.md has this table, and a test keeps the two equal. Each limit has
 * its refusal. None of them stops the worker: what is over a limit becomes a dead letter, without its payload where that
 * is what is too large.
 */
export const LIMITS = {
  /** Bytes of one record as it is handled: key, value and headers, decompressed. A line of `pipe` likewise. */
  recordBytes: 2 * MIB,
  /** Headers of one record. */
  recordHeaders: 1_000,
  /** Bytes of a batch once it is decompressed, whatever it was compressed with. */
  batchBytes: 32 * MIB,
  /** Records of one batch. */
  batchRecords: 100_000,
  /** Levels of objects and arrays in one JSON text. */
  jsonDepth: 200,
  /** Values in one JSON text: objects, arrays, texts, numbers and words. */
  jsonValues: 25_000,
  /** Secret fields of one event. */
  secretFields: 1_000,
  /** Characters of the JSON Pointers of all secret fields of one event: below a long key each of them has that key. */
  fieldNames: MIB,
} as const;
