import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  PROJECT_DIR,
  runCli,
  startCli,
  tmpDir,
  waitFor,
} from '../../harness/index.js';
import { runHere } from '../operations/verify-worlds.js';
import { changeEvent, CONNECTION_ID } from './support.js';

/** The rows of docs/cli.md, “When it fails”: command, and one cell for each thing that goes wrong. */
function documented(): Map<string, Record<string, string>> {
  const text = readFileSync(join(PROJECT_DIR, 'docs', 'cli.md'), 'utf8');
  const section = /^## When it fails\n(.*?)^## /ms.exec(text)?.[1] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  const [head = [], , ...body] = rows.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
  return new Map(
    body.map(([command = '', ...cells]) => [
      command,
      Object.fromEntries(cells.map((cell, index) => [head[index + 1] ?? '', cell])),
    ]),
  );
}

const UNFINISHED = '44444444-0000-4000-8000-000000000001';
const NOWHERE = 'http://127.0.0.1:9';
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  resolve: ['secret:/openmetadata/database/mysql-test/password'],
  'connections show': [CONNECTION_ID],
  'dead-letters show': ['abcdef'],
  'dead-letters retry': ['--all'],
  'dead-letters discard': ['--all'],
  'migrate-secrets': ['--to', 'local'],
  'catalog build': ['--schemas', '/nowhere', '--out', '-'],
  completion: ['bash'],
};
const DOING_GROUPS = new Set(['replay', 'migrate-secrets']);
const HAS_NO_JSON = new Set(['start', 'pipe', 'catalog build', 'completion']);
const TABLE = documented();
const commands = [...TABLE.keys()];

let standin: AwsStandin;
let env: Record<string, string>;
beforeAll(async () => {
  standin = await startAwsStandin();
  env = {
    FERNET_KEY: generateKey(),
    KAFKA_BROKERS: '127.0.0.1:9',
    HTTP_PORT: 'off',
    SECRET_MANAGER: 'managed-aws',
    DATABASE_URL: `sqlite:${join(tmpDir('fails'), 'worker.sqlite')}`,
    AWS_ENDPOINT_URL: standin.url,
    OM_SM_REGION: AWS_REGION,
    OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
    OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
  };
  const filled = await runCli(['pipe'], { env, input: changeEvent() });
  expect(filled.code, filled.stderr).toBe(0);
  const file = new Sqlite(env['DATABASE_URL']!.slice('sqlite:'.length));
  file
    .prepare(
      `INSERT INTO operation (id, kind, state, parameters, progress, created_at_ms, updated_at_ms)
       VALUES ('${UNFINISHED}', 'replay', 'interrupted', '{"of":"secured","connectionIds":null,"kinds":null}',
               '{"after":"","published":0,"tooLarge":[]}', 0, 0)`,
    )
    .run();
  file.close();
});
afterAll(() => standin.close());

const argumentsOf = (command: string, ...more: string[]): string[] => [
  ...command.split(' '),
  ...(ARGUMENTS[command] ?? []),
  ...more,
];

/** What a person sees: the exit code and the code of the message, if there is one. */
async function outcome(command: string, more: Readonly<Record<string, string>>): Promise<string> {
  const { code, stderr } = await runHere(argumentsOf(command), { ...env, ...more });
  const shown = /error: ([A-Z_]+):/.exec(stderr)?.[1];
  return [String(code), ...(shown === undefined ? [] : [shown])].join(' ');
}

/** What a command that could not do its work must leave as it was: who keeps the secrets, and what is to be resumed. */
function kept(): unknown {
  const file = new Sqlite(env['DATABASE_URL']!.slice('sqlite:'.length), { readonly: true });
  try {
    return {
      settings: file
        .prepare(`SELECT name, value FROM setting WHERE name LIKE '%manager%' ORDER BY name`)
        .all(),
      operations: file.prepare('SELECT id, state FROM operation ORDER BY id').all(),
    };
  } finally {
    file.close();
  }
}

/** Every command that the program's help tells of. */
async function programCommands(): Promise<string[]> {
  const below = async (words: readonly string[]): Promise<string[]> => {
    const { stdout } = await runHere([...words, '--help'], {});
    const listed = /^Commands:\n(.*?)(?:\n\n|$(?![^]))/ms.exec(stdout)?.[1] ?? '';
    const names = [...listed.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name);
    const others = names.filter((name) => name !== 'help');
    // A group by itself does nothing, but for these.
    const own = others.length === 0 || DOING_GROUPS.has(words.join()) ? [words.join(' ')] : [];
    return [...own, ...(await Promise.all(others.map((name) => below([...words, name])))).flat()];
  };
  return below([]);
}

describe('docs/cli.md, “When it fails”', () => {
  it('tells of every command', async () => {
    expect([...commands].sort()).toEqual((await programCommands()).sort());
  });

  it.each(commands)(
    '%s: --help ends with 0; a wrong flag as the page says, as text and as JSON',
    async (command) => {
      expect((await runHere([...command.split(' '), '--help'], {})).code).toBe(0);
      const text = await runHere(argumentsOf(command, '--no-such-flag'), env);
      const wanted = TABLE.get(command)?.['wrong flag'];
      expect(`${text.code} ${/error: ([A-Z_]+):/.exec(text.stderr)?.[1]}`).toBe(wanted);
      expect(text.stdout).toBe('');
      if (HAS_NO_JSON.has(command)) return;
      const json = await runHere(argumentsOf(command, '--no-such-flag', '--json'), env);
      const { error } = JSON.parse(json.stderr) as { error: { code: string; hint: string } };
      expect(`${json.code} ${error.code}`).toBe(wanted);
      expect(error.hint).not.toBe('');
    },
  );

  const cases = [
    { column: 'no database', more: { DATABASE_URL: 'postgres://u:p@127.0.0.1:9/none' } },
    { column: 'no broker', more: {} },
    { column: 'no store', more: { AWS_ENDPOINT_URL: NOWHERE } },
  ].flatMap(({ column, more }) =>
    commands
      .filter((command) => /^[0-9]/.test(TABLE.get(command)?.[column] ?? ''))
      .map((command) => ({ column, command, more })),
  );
  it.each(cases)('$command, $column', { timeout: 120_000 }, async ({ command, column, more }) => {
    const before = kept();
    expect(await outcome(command, more)).toBe(TABLE.get(command)?.[column]);
    expect(kept()).toEqual(before);
  });

  const denied = commands.filter((command) => /^[0-9]/.test(TABLE.get(command)?.['no permission'] ?? ''));
  it.each(denied)('%s, no permission', async (command) => {
    const fault = standin.fault({ kind: 'error', name: 'AccessDeniedException' });
    try {
      expect(await outcome(command, {})).toBe(TABLE.get(command)?.['no permission']);
    } finally {
      standin.clearFaults(fault);
    }
  });

  it('names region and host of a store that does not answer or lets nobody in, and what to do', async () => {
    const told = async (command: string, more: object): Promise<string> => {
      const { stdout, stderr } = await runHere(argumentsOf(command), { ...env, ...more });
      return stdout + stderr;
    };
    const away = { AWS_ENDPOINT_URL: NOWHERE };
    for (const command of ['doctor', 'verify']) {
      const text = await told(command, away);
      expect(text).toMatch(
        /failed with ECONNREFUSED at 127\.0\.0\.1:9, region \S+: check OM_SM_REGION, AWS_ENDPOINT_URL and/,
      );
    }
    const fault = standin.fault({ kind: 'error', name: 'ExpiredTokenException' });
    try {
      for (const command of ['doctor', 'resolve']) {
        const text = await told(command, {});
        expect(text).toMatch(
          /ExpiredTokenException at 127\.0\.0\.1:\d+, region \S+: renew or correct the credentials \(OM_SM/,
        );
        expect(text).not.toContain('tried again');
      }
    } finally {
      standin.clearFaults(fault);
    }
  });

  it.each(['start', 'pipe'])('%s, Ctrl-C', async (command) => {
    const running = startCli(argumentsOf(command), env);
    await waitFor(() => running.stdout() + running.stderr() !== '' || command === 'pipe', {
      what: 'its first line',
      timeoutMs: 30_000,
    });
    if (command === 'pipe') {
      running.write(`${changeEvent()}\n`);
      await running.waitForLine('"event"', { timeoutMs: 60_000 });
    }
    process.kill(running.pid, 'SIGINT');
    const { code } = await running.waitForExit(60_000);
    expect(String(code)).toBe(TABLE.get(command)?.['Ctrl-C']);
  });
});
