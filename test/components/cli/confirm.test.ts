import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../../../src/cli/program.js';
import { runCli } from '../../harness/index.js';
import { runHere } from '../operations/verify-worlds.js';
import { lines, localSetup } from './support.js';

type Env = Readonly<Record<string, string>>;

/** What a person sees who types the answer at a terminal. */
async function atTerminal(args: readonly string[], env: Env, answer: string): Promise<Shown> {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const stderr = Object.assign(new PassThrough(), { isTTY: true });
  const stdout = new PassThrough();
  stdin.end(answer);
  const code = await runProgram(args, { env, stdin, stdout, stderr });
  const text = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString() ?? '';
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

interface Shown {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Three connections in a vault, and two kept events. */
async function filled(): Promise<Env> {
  const { env } = localSetup();
  const input = `${lines({ count: 3 })}\n{"not": "an event"}\n{"neither": "one"}\n`;
  expect((await runCli(['pipe'], { env, input })).code).toBe(3);
  return env;
}

interface Case {
  readonly title: string;
  readonly args: readonly string[];
  readonly told: string;
  /** What shows whether it was done: before, and after. */
  readonly look: readonly string[];
  readonly before: RegExp;
  readonly after: RegExp;
  /** Default 0. */
  readonly code?: number;
}

const CASES: readonly Case[] = [
  {
    title: 'discard of all',
    args: ['dead-letters', 'discard', '--all'],
    told: '2 kept events would be given up for good',
    look: ['dead-letters', 'list', '--json'],
    before: /"total": 2/,
    after: /"total": 0/,
  },
  {
    title: 'discard by a filter',
    args: ['dead-letters', 'discard', '--state', 'dead'],
    told: '2 kept events would be given up for good',
    look: ['dead-letters', 'list', '--json'],
    before: /"total": 2/,
    after: /"total": 0/,
  },
  {
    title: 'a migration into the database',
    args: ['migrate-secrets', '--to', 'db'],
    told: 'the values of 3 connections would leave their store',
    look: ['migrate-secrets', 'status', '--json'],
    before: /"active": "local"/,
    after: /"active": "db"/,
  },
  {
    title: 'a migration that deletes its source',
    args: ['migrate-secrets', '--to', 'db', '--delete-source'],
    told: '3 connections would move to db; what they leave is deleted at once',
    look: ['migrate-secrets', 'status', '--json'],
    before: /"active": "local"/,
    after: /"active": "db"/,
    // Nobody has published yet what tells readers: it would be resumed.
    code: 1,
  },
  {
    title: 'a migration of the schema undone',
    args: ['database', 'revert'],
    told: 'the database holds 3 connections',
    look: ['database', 'status', '--json'],
    before: /"pending": \[\]/,
    after: /"pending": \[\n/,
  },
];

describe('what can hurt', () => {
  it.each(CASES)('$title: asks at a terminal, refuses elsewhere, and takes --yes', async (one) => {
    const env = await filled();
    const look = async (): Promise<string> => (await runHere(one.look, env)).stdout;
    expect(await look()).toMatch(one.before);

    const refused = await runHere(one.args, env);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('error: NOT_CONFIRMED: ');
    expect(refused.stderr).toContain(one.told);
    for (const answer of ['no\n', '\n', '', 'y\n']) {
      const denied = await atTerminal(one.args, env, answer);
      expect(denied).toMatchObject({ code: 2, stdout: '' });
      expect(denied.stderr).toContain(one.told);
      expect(denied.stderr).toContain('Go on? Type yes: ');
      expect(denied.stderr).toContain('nothing was changed');
    }
    expect(await look()).toMatch(one.before);

    const confirmed = await atTerminal(one.args, env, 'yes\n');
    expect(confirmed.code, confirmed.stderr).toBe(one.code ?? 0);
    expect(await look()).toMatch(one.after);

    const other = await filled();
    const said = await runHere([...one.args, '--yes'], other);
    expect(said.code, said.stderr).toBe(one.code ?? 0);
    expect((await runHere(one.look, other)).stdout).toMatch(one.after);
  });

  it('does not ask where nothing can be hurt', async () => {
    const env = await filled();
    const { stdout } = await runHere(['dead-letters', 'list', '-o', 'name'], env);
    const [first = '', second = ''] = stdout.split('\n');
    expect((await runHere(['dead-letters', 'discard', first.slice(0, 8), second], env)).code).toBe(0);
    expect((await runHere(['dead-letters', 'discard', '--all'], env)).code).toBe(1);
    expect((await runHere(['migrate-secrets', '--to', 'db', '--dry-run'], env)).code).toBe(0);
    expect((await runHere(['migrate-secrets', '--to', 'local'], env)).code).toBe(0);
  });
});

describe('who did it', () => {
  const actors = async (env: Env): Promise<unknown> => {
    const { stdout } = await runHere(['audit', 'list', '--action', 'discard', '--json'], env);
    return (JSON.parse(stdout) as { items: { actor: string }[] }).items.map(({ actor }) => actor);
  };

  it('is who --actor names, else AUDIT_ACTOR', async () => {
    const env = await filled();
    const { stdout } = await runHere(['dead-letters', 'list', '-o', 'name'], env);
    const [first = '', second = ''] = stdout.split('\n');
    const asBob = { ...env, AUDIT_ACTOR: 'bob' };
    expect((await runHere(['dead-letters', 'discard', first], asBob)).code).toBe(0);
    expect(await actors(env)).toEqual(['cli:bob']);
    expect((await runHere(['dead-letters', 'discard', second, '--actor', 'Ann Ö.'], asBob)).code).toBe(0);
    expect(await actors(env)).toEqual(expect.arrayContaining(['cli:bob', 'cli:Ann Ö.']));
  });

  it('is named in the record of a migration', async () => {
    const env = await filled();
    const moved = await runHere(['migrate-secrets', '--to', 'db', '--yes', '--actor', 'ann', '--json'], env);
    expect(JSON.parse(moved.stdout)).toMatchObject({ by: expect.stringMatching(/^cli:ann on /) as unknown });
    const audit = await runHere(['audit', 'list', '--actor', 'cli:ann', '-o', 'name'], env);
    expect(audit.stdout).not.toBe('');
  });

  it('is named where `pipe` changes the secrets manager', async () => {
    const env = { ...(await filled()), SECRET_MANAGER: 'db', SECRET_MIGRATION: 'auto' };
    expect((await runCli(['pipe', '--actor', 'ann'], { env, input: '' })).code).toBe(0);
    const { stdout } = await runHere(['audit', 'list', '--action', 'change-manager', '--json'], env);
    expect(JSON.parse(stdout)).toMatchObject({ items: [{ actor: 'cli:ann' }] });
  });

  it.each([['start'], ['pipe'], ['replay'], ['replay', 'resume']])('%s %s has --actor', async (...args) => {
    expect((await runHere([...args, '--help'], {})).stdout).toContain('--actor <name>');
  });

  it.each(['', 'a\nb', '\u001b[31m', 'a\u202eb', 'x'.repeat(101)])('is no %j', async (name) => {
    const env = await filled();
    const refused = await runHere(['dead-letters', 'discard', '--all', '--yes', '--actor', name], env);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('a name of 1 to 100 characters');
    if (name !== '') expect(refused.stderr).not.toContain(name);
    if (name === '') return;
    const setting = await runHere(['dead-letters', 'discard', '--all', '--yes'], {
      ...env,
      AUDIT_ACTOR: name,
    });
    expect(setting.code).toBe(2);
    expect(setting.stderr).toContain('AUDIT_ACTOR');
  });
});
