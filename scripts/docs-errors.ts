import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES, type ErrorKind } from '../src/errors.js';

const FILE = new URL('../docs/errors.md', import.meta.url);

const KINDS: readonly { readonly kind: ErrorKind; readonly title: string; readonly text: string }[] = [
  {
    kind: 'configuration',
    title: 'Wrong use or configuration',
    text: 'The process ends with exit code 2 and changes nothing.',
  },
  {
    kind: 'event',
    title: 'Events',
    text:
      'This one event cannot be processed as it is. Nothing of it is applied: it becomes a dead letter, or waits if ' +
      'that may help. Other connections go on.',
  },
  {
    kind: 'transient',
    title: 'Transient',
    text: 'The worker tries again with growing pauses, for as long as the error lasts. In that time the partition is paused, and `/readyz` says why.',
  },
  { kind: 'fatal', title: 'Fatal', text: 'The process, or the command, ends with exit code 1.' },
];

const INTRODUCTION = `# Error codes

<!-- Generated from src/errors.ts by scripts/docs-errors.ts. Change the codes there, then run it again. -->

Every failure has one of these codes: in logs, metrics, dead letters and on standard error
(\`error: CODE: message\`, then \`hint: what to do\`). Messages name fields, limits, calls and error names, never a value,
and never the text of a driver, an SDK or a parser, which may quote one.
`;

/** The text of docs/errors.md. */
export function renderErrorDocs(): string {
  const sections = KINDS.map(({ kind, title, text }) => {
    const rows = Object.entries(ERROR_CODES)
      .filter(([, entry]) => entry.kind === kind)
      .map(([code, { meaning, remedy }]) => `| \`${code}\` | ${cell(meaning)} | ${cell(remedy)} |`);
    return [
      `## ${title}`,
      '',
      text,
      '',
      '| code | meaning | what to do |',
      '|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return [INTRODUCTION, ...sections].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** `tsx scripts/docs-errors.ts` writes the file; with `--check` it only compares and ends with 1. */
function main(): void {
  const text = renderErrorDocs();
  if (!process.argv.includes('--check')) {
    writeFileSync(FILE, text);
  } else if (readFileSync(FILE, 'utf8') !== text) {
    process.stderr.write('docs/errors.md is out of date: run `npx tsx scripts/docs-errors.ts`\n');
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
