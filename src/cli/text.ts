/** Names come from events: what steers a terminal is shown, not sent. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Columns with two spaces between them; absent values as `-`. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string {
  const cells = [
    [...head],
    ...rows.map((row) => row.map((cell) => (cell === null || cell === '' ? '-' : printable(String(cell))))),
  ];
  const widths = head.map((_name, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names with their values below each other. */
export function formatFields(fields: readonly (readonly [string, string | number | null])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields
    .map(([name, value]) => `${name.padEnd(width)}  ${value === null ? '-' : printable(String(value))}`)
    .join('\n');
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
