import { styleText } from 'node:util';
import type { Cli } from './cli.js';

export type Cell = string | number | null;

/** How an answer is shown to people: `--no-headers`, and colours where standard output is a terminal that has them. */
export interface Look {
  /** Columns with two spaces between them; absent values as `-`. */
  readonly table: (head: readonly string[], rows: readonly (readonly Cell[])[]) => string;
  /** A word that stands out where it tells of something bad. */
  readonly mark: (word: string) => string;
}

/** Words that stand out, in tables as a cell of their own. Everything else has no colour. */
const COLOURS: Readonly<Record<string, 'red' | 'yellow'>> = {
  ...{ failed: 'red', error: 'red', dead: 'red', lost: 'red', altered: 'red' },
  ...{ warning: 'yellow', waiting: 'yellow', interrupted: 'yellow', open: 'yellow', left: 'yellow' },
};

export function lookOf({ stdout }: Pick<Cli, 'stdout'>, hasHeaders: boolean): Look {
  const mark = (word: string): string => coloured(word, stdout);
  return { mark, table: (head, rows) => formatTable(head, rows, { hasHeaders, mark }) };
}

/** NO_COLOR, FORCE_COLOR, TERM and whether it is a terminal are looked at by Node.js. */
export function coloured(word: string, stream: Cli['stdout']): string {
  const colour = COLOURS[word.trim().toLowerCase()];
  return colour === undefined ? word : styleText(colour, word, { stream });
}

function formatTable(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  { hasHeaders, mark }: { readonly hasHeaders: boolean; readonly mark: (word: string) => string },
): string {
  const cells = [
    ...(hasHeaders ? [[...head]] : []),
    ...rows.map((row) => row.map((cell) => (cell === null || cell === '' ? '-' : printable(String(cell))))),
  ];
  const widths = head.map((_name, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const lineOf = (row: readonly string[]): string =>
    row
      .map((cell, column) => mark(cell) + ' '.repeat((widths[column] ?? 0) - cell.length))
      .join('  ')
      .trimEnd();
  return cells.map(lineOf).join('\n');
}

/** Names come from events: what steers a terminal is shown, not sent. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Names with their values below each other. */
export function formatFields(fields: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields
    .map(([name, value]) => `${name.padEnd(width)}  ${value === null ? '-' : printable(String(value))}`)
    .join('\n');
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
