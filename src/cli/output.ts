import { Option } from 'commander';
import type { Page, PageRequest } from '../database/page.js';
import type { Cli, ExitCode } from './cli.js';
import { wholeNumber } from './parse.js';
import { lookOf, type Cell, type Look } from './text.js';

/** What a command has done or found out. */
export interface Answer {
  /** What `--output json` prints: docs/schemas/commands.json. */
  readonly json: object;
  /** What people read; null: nothing. */
  readonly text: (look: Look) => string | null;
  /** A line on standard error, whatever the output is: where the answer comes from, or how to go on. */
  readonly note?: string | undefined;
  /** Default: ok. */
  readonly code?: ExitCode;
}

const FORMATS = ['table', 'json', 'yaml'] as const;

export interface OutputOptions {
  readonly output: (typeof FORMATS)[number] | 'name';
  readonly headers: boolean;
}

/** `--output`, `--json` and `--no-headers`. `hasNames`: the command also has `--output name`. */
export function outputOptions(hasNames: boolean): Option[] {
  return [
    new Option('-o, --output <format>', 'how to print it')
      .choices(hasNames ? [...FORMATS, 'name'] : FORMATS)
      .default('table'),
    new Option('--json', 'the same as --output json').implies({ output: 'json' }),
    new Option('--no-headers', 'tables without their first line'),
  ];
}

/** Whether the command line asks for JSON or YAML. Its errors are JSON then, which every YAML parser reads as well. */
export function isForPrograms(args: readonly string[]): boolean {
  const formats = args.map((word, index) =>
    /^(?:-o|--output)$/.test(args[index - 1] ?? '') ? word : /^(?:-o=?|--output=)(.+)$/.exec(word)?.[1],
  );
  return args.includes('--json') || formats.some((format) => format === 'json' || format === 'yaml');
}

/** Prints an answer on standard output, and its note on standard error. */
export async function print(
  cli: Cli,
  { json, text, note = noteOnPage(json) }: Answer,
  { output, headers }: OutputOptions,
  nameMember: string | undefined,
): Promise<void> {
  const shown = output === 'table' ? text(lookOf(cli, headers)) : await printed(json, output, nameMember);
  if (shown !== null && shown !== '') cli.stdout.write(`${shown}\n`);
  if (note !== undefined) cli.stderr.write(`${note}\n`);
}

function noteOnPage(json: object): string | undefined {
  if (!isPage(json) || json.next === null) return undefined;
  return `${json.items.length} of ${json.total} shown; go on with --after ${json.next}, or see all with --all`;
}

async function printed(
  json: object,
  output: Exclude<OutputOptions['output'], 'table'>,
  nameMember = 'id',
): Promise<string> {
  if (output === 'json') return JSON.stringify(json, null, 2);
  if (output === 'name') {
    const items = isPage(json) ? json.items : [json];
    return items.map((item) => String((item as Record<string, unknown>)[nameMember])).join('\n');
  }
  const { stringify } = await import('yaml');
  return stringify(json, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd();
}

function isPage(json: object): json is Page<object> {
  return 'items' in json && 'next' in json && 'total' in json;
}

/** A list as an answer: as JSON the page, for people a table with these columns. An empty list prints `none`. */
export function listAnswer<T extends object>(
  page: Page<T>,
  columns: Readonly<Record<string, (item: T) => Cell>>,
  none: string | null = null,
): Answer {
  const cells = Object.values(columns);
  return {
    json: page,
    text: (look) =>
      page.total === 0 && none !== null
        ? none
        : look.table(
            Object.keys(columns),
            page.items.map((item) => cells.map((cell) => cell(item))),
          ),
  };
}

/** Which part of a list in the database to print. */
export interface PageOptions {
  readonly limit: number;
  readonly after?: string;
  readonly all?: true;
}

export const PAGE_OPTIONS = [
  new Option('--limit <number>', 'print at most this many').argParser(wholeNumber(1, 100_000)).default(100),
  new Option('--after <cursor>', 'go on where an earlier list stopped: take the cursor that it printed'),
  new Option('--all', 'print the whole list'),
];

export function pageRequest({ limit, after, all }: PageOptions): PageRequest {
  return { limit: all ? null : limit, after: after ?? null };
}
