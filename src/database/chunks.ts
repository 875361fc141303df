/** Values of one `IN (…)`: below every driver's limit of parameters (SQLite: 32,766; PostgreSQL: 65,535). */
const VALUES_A_STATEMENT = 5_000;
/** Rows of one statement: the same limit, for as many columns as a table has. */
const ROWS_A_STATEMENT = 400;
/** Characters of one statement: MySQL's `max_allowed_packet` counts bytes of the whole, and may be as low as 16 MB. */
const CHARACTERS_A_STATEMENT = 1_000_000;

/** Lists short enough for one `IN (…)`. */
export function* valueChunks<T>(values: readonly T[]): Generator<T[]> {
  for (let start = 0; start < values.length; start += VALUES_A_STATEMENT)
    yield values.slice(start, start + VALUES_A_STATEMENT);
}

/** Rows that fit into one statement; one that is too long for any goes alone, so that it harms no other. */
export function* rowChunks<T extends object>(rows: readonly T[]): Generator<T[]> {
  let chunk: T[] = [];
  let characters = 0;
  for (const row of rows) {
    const more = charactersOf(row);
    if (
      chunk.length > 0 &&
      (chunk.length === ROWS_A_STATEMENT || characters + more > CHARACTERS_A_STATEMENT)
    ) {
      yield chunk;
      chunk = [];
      characters = 0;
    }
    chunk.push(row);
    characters += more;
  }
  if (chunk.length > 0) yield chunk;
}

function charactersOf(row: object): number {
  return Object.values(row).reduce<number>(
    (sum, value: unknown) => sum + (typeof value === 'string' ? value.length : 0),
    0,
  );
}
