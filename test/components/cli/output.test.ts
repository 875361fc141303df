import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CLI_FILE, runCli, startProcess } from '../../harness/index.js';
import { runHere } from '../operations/verify-worlds.js';
import { idOf, lines, localSetup } from './support.js';

interface Listed {
  readonly items: readonly { readonly id: string; readonly name: string }[];
  readonly next: string | null;
  readonly total: number;
}

/** Seven connections, of which two were changed in the same millisecond as their neighbours. */
async function sevenConnections(): Promise<Record<string, string>> {
  const { env } = localSetup();
  const filled = await runCli(['pipe'], { env, input: lines({ count: 7 }) });
  expect(filled.code, filled.stderr).toBe(0);
  return env;
}

const listed = ({ stdout }: { readonly stdout: string }): Listed => JSON.parse(stdout) as Listed;

describe('--output', () => {
  it('prints the same answer as JSON, YAML, names and a table, with or without its first line', async () => {
    const env = await sevenConnections();
    const list = (...words: string[]): ReturnType<typeof runHere> =>
      runHere(['connections', 'list', ...words], env);
    const json = await list('--output', 'json');
    expect((await list('--json')).stdout).toBe(json.stdout);
    expect(parse((await list('-o', 'yaml')).stdout)).toEqual(listed(json));
    const ids = listed(json).items.map(({ id }) => id);
    expect((await list('-o', 'name')).stdout).toBe(`${ids.join('\n')}\n`);
    const table = await list();
    expect(table.stdout).toMatch(/^ID +KIND +TYPE/);
    const cellsOf = (text: string): string[][] => text.split('\n').map((line) => line.split(/ {2,}/));
    expect(cellsOf((await list('--no-headers')).stdout)).toEqual(cellsOf(table.stdout).slice(1));
  });

  it('of one thing is its id as a name; what has no names refuses the word', async () => {
    const env = await sevenConnections();
    const shown = await runHere(['connections', 'show', idOf(3), '-o', 'name'], env);
    expect(shown.stdout).toBe(`${idOf(3)}\n`);
    const refused = await runHere(['doctor', '-o', 'name'], env);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('table, json, yaml');
  });

  it.each([['--json'], ['--output', 'json'], ['--output=yaml'], ['-ojson'], ['-o', 'yaml']])(
    'makes an error one line of JSON: %s %s',
    async (...words) => {
      const result = await runHere(['connections', 'list', '--kind', 'none', ...words], {});
      expect(JSON.parse(result.stderr)).toMatchObject({ error: { code: 'USAGE_INVALID' } });
    },
  );

  it('has colours for people who want them, and for nobody else', async () => {
    const { env } = localSetup();
    await runCli(['pipe'], { env, input: '{"no": "event"}' });
    const args = ['dead-letters', 'list'];
    const coloured = { ...env, FORCE_COLOR: '1' };
    expect((await runCli(args, { env: coloured })).stdout).toContain('\u001b[31mdead\u001b[39m');
    expect((await runCli(args, { env })).stdout).not.toContain('\u001b');
    for (const format of ['json', 'yaml', 'name'])
      expect((await runCli([...args, '-o', format], { env: coloured })).stdout).not.toContain('\u001b');
    const failed = await runCli(['connections', 'show', 'none'], { env: coloured });
    expect(failed.stderr).toContain('\u001b[31merror\u001b[39m: USAGE_INVALID');
  });
});

describe('a list', () => {
  it('says on standard error that it stops early, and goes on from there to its end', async () => {
    const env = await sevenConnections();
    const list = (...words: string[]): ReturnType<typeof runHere> =>
      runHere(['connections', 'list', '--json', ...words], env);
    const all = listed(await list());
    expect(all).toMatchObject({ next: null, total: 7 });
    expect(all.items).toHaveLength(7);

    const seen: string[] = [];
    let after: string[] = [];
    for (let page = 0; page < 3; page += 1) {
      const result = await list('--limit', '3', ...after);
      const { items, next, total } = listed(result);
      seen.push(...items.map(({ id }) => id));
      expect(total).toBe(7);
      expect(result.stderr).toBe(
        next === null ? '' : `3 of 7 shown; go on with --after ${next}, or see all with --all\n`,
      );
      after = ['--after', next ?? ''];
    }
    expect(after).toEqual(['--after', '']);
    expect(seen).toEqual(all.items.map(({ id }) => id));
    expect(listed(await list('--limit', '3', '--all')).items).toHaveLength(7);
  });

  it('refuses to go on from what no list has said', async () => {
    const env = await sevenConnections();
    for (const after of ['', 'x', '%%', 'A'.repeat(5_000)]) {
      const result = await runHere(['connections', 'list', '--after', after], env);
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toContain('--after: take what the list before said');
    }
  });

  it('is narrowed by a text in the name, which is no pattern', async () => {
    const env = await sevenConnections();
    const named = async (name: string): Promise<string[]> =>
      listed(await runHere(['connections', 'list', '--json', '--name', name], env)).items.map(
        (one) => one.name,
      );
    expect(await named('SQL-5')).toEqual(['mysql-5']);
    expect(await named('mysql%5')).toEqual([]);
    expect(await named('mysql_5')).toEqual([]);
    const { stdout } = await runHere(['connections', 'list', '--json', '--type', 'Postgres'], env);
    expect(JSON.parse(stdout)).toEqual({ items: [], next: null, total: 0 });
  });

  it.each([
    ['audit', 'list'],
    ['dead-letters', 'list'],
    ['replay', 'status'],
    ['migrate-secrets', 'status'],
    ['catalog', 'show'],
  ])('is the same envelope everywhere: %s %s', async (...command) => {
    const env = await sevenConnections();
    const { stdout } = await runHere([...command, '--json'], env);
    expect(JSON.parse(stdout)).toMatchObject({
      items: expect.any(Array) as unknown,
      next: null,
      total: expect.any(Number) as unknown,
    });
  });
});

describe('an id', () => {
  it('is known by its first characters or its name; where several are meant it names them', async () => {
    const env = await sevenConnections();
    const show = (given: string): ReturnType<typeof runHere> =>
      runHere(['connections', 'show', given, '-o', 'name'], env);
    expect((await show('mysql-4')).stdout).toBe(`${idOf(4)}\n`);
    expect((await show(idOf(4))).stdout).toBe(`${idOf(4)}\n`);
    const several = await show('22222222-0000');
    expect(several).toMatchObject({ code: 2, stdout: '' });
    expect(several.stderr).toContain('several connections may be meant:\n');
    for (let number = 0; number < 7; number += 1) expect(several.stderr).toContain(`mysql-${number}`);
    for (const none of ['22222', '22222222-0000-4000-8000-00000000000_', '%', 'mysql-', 'mysql-44'])
      expect((await show(none)).stderr, none).toContain('none of the connections');
    expect((await show('x'.repeat(600))).code).toBe(2);
  });
});

it.each([
  ['--help'],
  ['connections', 'list'],
  ['catalog', 'show', '--json'],
  ['version'],
  ['completion', 'fish'],
  ['doctor'],
])('a reader that is gone is no failure: %s %s %s', async (...args) => {
  const env = await sevenConnections();
  const shell = startProcess({
    command: 'bash',
    args: ['-c', `"$0" "$@" | true; echo "code \${PIPESTATUS[0]}"`, process.execPath, CLI_FILE, ...args],
    env,
  });
  await shell.waitForExit();
  expect(shell.stdout()).toBe('code 0\n');
  // Notes may stand there, such as where the catalogue comes from.
  expect(shell.stderr()).not.toMatch(/error|EPIPE|fatal/i);
});
