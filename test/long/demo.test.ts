import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeWith, PROJECT_DIR, startProcess, tmpDir, type Exit } from '../harness/index.js';

const SCRIPT = join(PROJECT_DIR, 'scripts', 'demo.mjs');
const SAMPLES = join(PROJECT_DIR, 'examples', 'events', 'connections.ndjson');
/** Every password, key and token of the samples, or a part of it that occurs nowhere else. */
const SECRETS = [
  'orchard-lantern-58',
  'glacier-violin-31',
  'tundra-piano-77',
  'meadow-not-a-key',
  'marble-kite-12',
  'copper-search-40',
  'copper-files-41',
  'willow-example',
  'harbor-quartz-93',
  'saffron-bridge-64',
  'cedar-example',
  'ember-falcon-05',
  'ember-otter-06',
  'basalt-heron-19',
  'basalt-crane-20',
];
const REFERENCE = 'secret:/openmetadata/database/mysql-test/password';

interface DemoRun extends Exit {
  readonly output: string;
  /** The folder for temporary files that it had to itself. */
  readonly tmp: string;
}

async function runDemo(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<DemoRun> {
  const tmp = tmpDir('demo');
  const demo = startProcess({
    command: process.execPath,
    args: [SCRIPT, '--no-install', ...args],
    env: { ...env, TMPDIR: tmp },
  });
  demo.end();
  const exit = await demo.waitForExit(100_000);
  return { ...exit, output: demo.stdout() + demo.stderr(), tmp };
}

/** What is left of the demo's own: other programs keep caches beside it. */
function demoFolders(tmp: string): string[] {
  return readdirSync(tmp).filter((name) => name.startsWith('connection-secrets-demo-'));
}

/** The samples with one member of one line changed. */
function changedSamples(change: (sample: { expect: { writes: number } }) => void): string {
  const [first = '', ...rest] = readFileSync(SAMPLES, 'utf8').split('\n');
  const sample = JSON.parse(first) as { expect: { writes: number } };
  change(sample);
  const file = join(tmpDir('samples'), 'connections.ndjson');
  writeFileSync(file, [JSON.stringify(sample), ...rest].join('\n'));
  return file;
}

function expectTheExample(output: string): void {
  expect(output).toMatch(/^ {2}ok {2}the stored entity is masked/m);
  expect(output).toMatch(/^ {4}sealed +fernet:gAAAAA/m);
  expect(output).toContain(`ok  the sealed reference opens to ${REFERENCE}`);
  expect(output).toContain('ok  the vault has the secret /openmetadata/database/mysql-test/password');
  expect(output).toContain(`"password": "${REFERENCE}"`);
  expect(output).toContain(`$ connection-secrets resolve ${REFERENCE}`);
  expect(output).toContain('ok  it is equal to what was sent');
}

function expectAllSamples(output: string): void {
  const rows = output.split('\n').filter((line) => /^ {2}(created|updated|deleted) {2}/.test(line));
  expect(rows).toHaveLength(14);
  expect(rows.filter((row) => row.includes('  applied  '))).toHaveLength(13);
  expect(rows.find((row) => row.includes('never-seen'))).toContain('refused: MASK_WITHOUT_ORIGINAL');
  expect(output).toContain('ok  all 14 came out as expected: 13 applied, 1 refused');
  expect(output).toContain('ok  none of the 15 secret texts lies in a file of the folder');
  expect(output).toMatch(/^All \d+ statements were checked and are true\.$/m);
}

function expectNoSecret(output: string): void {
  const samples = readFileSync(SAMPLES, 'utf8');
  for (const secret of SECRETS) {
    expect(samples).toContain(secret);
    expect(output).not.toContain(secret);
  }
}

describe('npm run demo', () => {
  it('does the whole job without a server, shows it, and cleans up', async () => {
    const { code, output, tmp } = await runDemo([]);
    expect(output).not.toContain('FAILED');
    expect(code).toBe(0);
    expectTheExample(output);
    expectAllSamples(output);
    expectNoSecret(output);
    expect(output).toContain('ok  the first event came twice: still one secured event, and one write');
    expect(output, 'plain text where the output is no terminal').not.toContain('\u001b');
    expect(demoFolders(tmp)).toEqual([]);
  });

  it('keeps its folder on request and says where it is', async () => {
    const { code, output, tmp } = await runDemo(['--keep']);
    expect(code).toBe(0);
    const [folder = ''] = demoFolders(tmp);
    expect(output).toContain(`kept: ${join(tmp, folder)}`);
    expect(readdirSync(join(tmp, folder))).toEqual(
      expect.arrayContaining(['demo.env', 'demo.sqlite', 'demo.vault', 'secured.ndjson']),
    );
  });

  it('fails where something it would show is not true, and cleans up', async () => {
    const file = changedSamples((sample) => {
      sample.expect.writes = 2;
    });
    const { code, output, tmp } = await runDemo(['--events', file]);
    expect(code).toBe(1);
    expect(output).toContain(
      'FAILED  this is not true: mysql-test (the documented example) comes out as its sample says',
    );
    expectNoSecret(output);
    expect(demoFolders(tmp)).toEqual([]);
  });

  it('refuses an option it does not know', async () => {
    const { code, output } = await runDemo(['--kafak']);
    expect(code).toBe(2);
    expect(output).toContain('usage: npm run demo');
  });
});

describeWith(['kafka'], 'npm run demo -- --kafka', ({ kafka }) => {
  it('does the same over a real broker; the refused event lies in the dead-letter topic', async () => {
    const { code, output, tmp } = await runDemo(['--kafka'], { TEST_KAFKA_BROKERS: kafka });
    expect(output).not.toContain('FAILED');
    expect(code).toBe(0);
    expectTheExample(output);
    expectAllSamples(output);
    expectNoSecret(output);
    expect(output).toContain(
      'ok  the refused event lies in the topic connection.dead-letter, sealed: MASK_WITHOUT_ORIGINAL',
    );
    expect(output).toContain('stopped by SIGTERM: exit code 0');
    expect(demoFolders(tmp)).toEqual([]);
  });
});
