import type { CellResult } from './cell.js';

/** Boundaries down, engines and workers across: `ok` and seconds, or how many of the runs were not. */
export function renderTable(results: readonly CellResult[]): string {
  const rows = unique(results.map(({ boundary }) => boundary.id));
  const columns = unique(results.map(({ column }) => column.id));
  const cells = rows.map((row) => [
    row,
    ...columns.map((column) =>
      textOf(results.filter(({ boundary, column: of }) => boundary.id === row && of.id === column)),
    ),
  ]);
  const lines = [['boundary', ...columns], ...cells];
  const widths =
    lines[0]?.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0))) ?? [];
  const table = lines.map((line) =>
    line
      .map((text, index) => text.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const bad = results.filter(({ outcome }) => outcome !== 'ok').length;
  return [...table, '', `${results.length} runs, ${results.length - bad} ok, ${bad} not`].join('\n');
}

function textOf(results: readonly CellResult[]): string {
  if (results.length === 0) return '-';
  const bad = results.filter(({ outcome }) => outcome !== 'ok');
  const seconds = results.reduce((sum, each) => sum + each.seconds, 0) / results.length;
  if (bad.length === 0) return `ok ${seconds.toFixed(0)} s`;
  const outcomes = unique(bad.map(({ outcome }) => outcome)).join('/');
  return results.length === 1
    ? outcomes.toUpperCase()
    : `${outcomes.toUpperCase()} ${bad.length}/${results.length}`;
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
