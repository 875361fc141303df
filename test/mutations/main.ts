// `npm run test:mutations [-- --only TEXT]`: takes each rule of the protocol out of a copy of the source and expects
// tests to turn red, and out of the model and expects a counter-example. Exit code 1 where one is missed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { placeOf, readSources, without } from './place.js';
import { MUTATIONS, type ModelRun, type Mutation } from './rules.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPY = join(ROOT, '.tmp', 'mutations');
const SOURCES = readSources(ROOT);
const REPORT = join(COPY, 'report.json');
const COPIED = [
  ...['src', 'test', 'consumers', 'producers', 'migrations', 'docs', 'examples', 'scripts'],
  ...['package.json', 'tsconfig.json', 'vitest.config.ts'],
];

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

interface Verdict {
  readonly mutation: Mutation;
  /** Tests that turned red; null: the run did not come that far. */
  readonly red: number | null;
  readonly firstRed: string;
  /** Steps of the counter-example; 0: none was found; null: not in the model. */
  readonly steps: number | null;
}

function makeCopy(): void {
  rmSync(COPY, { recursive: true, force: true });
  mkdirSync(COPY, { recursive: true });
  for (const name of COPIED)
    if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(COPY, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(COPY, 'node_modules'));
}

interface Report {
  readonly numTotalTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Runs a program of Node.js to its end; resolves to what it printed. */
async function runNode(
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(process.execPath, [...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await once(child, 'close');
  return printed;
}

/** Names of the tests that failed; null where none ran. */
async function runTests(files: readonly string[]): Promise<readonly string[] | null> {
  rmSync(REPORT, { force: true });
  const vitest = join(COPY, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', '--reporter=json', `--outputFile=${REPORT}`, ...files];
  await runNode(args, COPY, { TEST_PARTS_ONLY: 'none', CI: '' });
  if (!existsSync(REPORT)) return null;
  const { numTotalTests, testResults } = JSON.parse(readFileSync(REPORT, 'utf8')) as Report;
  const failed = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName),
  );
  return numTotalTests === 0 ? null : failed;
}

async function withMutation<T>(mutation: Mutation, work: () => Promise<T>): Promise<T> {
  const place = placeOf(mutation, SOURCES);
  const source = SOURCES.get(place.file);
  if (source === undefined) throw new Error(`no file ${place.file}`);
  const path = join(COPY, place.file);
  writeFileSync(path, without(mutation, place, source));
  try {
    return await work();
  } finally {
    writeFileSync(path, source.text);
  }
}

/** Steps of the counter-example that the model prints. */
async function runModel({ rule, history, store, faults, moves = 0 }: ModelRun): Promise<number> {
  const model = join(ROOT, 'test', 'model', 'run.ts');
  const printed = await runNode(
    [
      ...['--import', 'tsx', model, '--without', rule, '--history', history],
      ...['--store', store, '--faults', String(faults), '--moves', String(moves)],
    ],
    ROOT,
  );
  return printed.split('\n').filter((line) => /^\s+\d+ /.test(line)).length;
}

async function judge(mutation: Mutation): Promise<Verdict> {
  const [red, steps] = await Promise.all([
    withMutation(mutation, () => runTests(mutation.tests)),
    mutation.model === null ? null : runModel(mutation.model),
  ]);
  return { mutation, red: red?.length ?? null, firstRed: red?.[0] ?? '', steps };
}

const isCaught = ({ red, steps }: Verdict): boolean => (red ?? 0) > 0 && steps !== 0;

function row({ mutation, red, firstRed, steps }: Verdict): string {
  const model =
    steps === null ? '–' : steps === 0 ? 'NO COUNTER-EXAMPLE' : `${mutation.model?.rule}: ${steps} steps`;
  const tests = red === null ? 'DID NOT RUN' : red === 0 ? 'NONE' : `${red}, as: ${firstRed}`;
  return `| ${mutation.rule} | ${mutation.without} | ${tests} | ${model} |`;
}

const only = !process.argv.includes('--only') ? '' : (process.argv[process.argv.indexOf('--only') + 1] ?? '');
const chosen = MUTATIONS.filter(({ rule }) => rule.includes(only));
makeCopy();
try {
  const files = [...new Set(chosen.flatMap(({ tests }) => tests))];
  const before = await runTests(files);
  if (before === null || before.length > 0) {
    print(`without any mutation: ${before === null ? 'no test ran' : `red: ${before.join('; ')}`}`);
    process.exitCode = 1;
  } else {
    print('| rule | without it | tests that turn red | counter-example of the model |\n|---|---|---|---|');
    let caught = 0;
    for (const mutation of chosen) {
      const verdict = await judge(mutation);
      print(row(verdict));
      if (isCaught(verdict)) caught += 1;
    }
    print(`\n${caught} of ${chosen.length} caught`);
    process.exitCode = caught === chosen.length && caught > 0 ? 0 : 1;
  }
} finally {
  rmSync(COPY, { recursive: true, force: true });
}
