import { execFileSync } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { EXIT, type Cli } from '../../../src/cli/cli.js';
import { exitCodeOf, reportError, shownError } from '../../../src/cli/errors.js';
import { asDatabaseError, DatabaseError } from '../../../src/database/errors.js';
import { pointInTime, retention, wholeNumber } from '../../../src/cli/parse.js';
import { OutcomeCounts } from '../../../src/observability/event-log.js';
import { runProgram } from '../../../src/cli/program.js';
import { lookOf, printable } from '../../../src/cli/text.js';
import { untilAborted } from '../../../src/cli/until-aborted.js';
import { loadConfig } from '../../../src/config.js';
import { ERROR_CODES, WorkerError } from '../../../src/errors.js';
import type { HandledRecord } from '../../../src/pipeline/observer.js';
import type { RecordOutcome } from '../../../src/terms.js';

const MARKER = 'c4n4ry-value';

function fakeCli(env: NodeJS.ProcessEnv = {}): Cli & { text(stream: 'stdout' | 'stderr'): string } {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const text = (stream: 'stdout' | 'stderr') => (streams[stream].read() as Buffer | null)?.toString() ?? '';
  return { env, ...streams, text };
}

describe('help', () => {
  it.each([
    [['start']],
    [['pipe']],
    [['doctor']],
    [['resolve']],
    [['connections', 'list']],
    [['connections', 'show']],
    [['replay']],
    [['replay', 'resume']],
    [['replay', 'status']],
    [['audit', 'list']],
    [['database', 'status']],
    [['database', 'migrate']],
    [['database', 'revert']],
    [['topics', 'create']],
    [['topics', 'check']],
    [['catalog', 'show']],
    [['catalog', 'build']],
    [['verify']],
    [['rotate-keys']],
    [['generate-key']],
    [['version']],
    [['completion', 'bash']],
  ])('of %j has examples and ends with 0', async (args) => {
    const cli = fakeCli();
    expect(await runProgram([...args, '--help'], cli)).toBe(EXIT.ok);
    expect(cli.text('stdout')).toContain(`$ connection-secrets ${args.join(' ')}`);
    expect(cli.text('stderr')).toBe('');
  });

  it('of the program names exit codes; --version the version', async () => {
    const cli = fakeCli();
    expect(await runProgram(['--help'], cli)).toBe(EXIT.ok);
    expect(cli.text('stdout')).toContain('Exit codes: 0 done, 1 failed, 2 wrong use or configuration');
    expect(await runProgram(['--version'], cli)).toBe(EXIT.ok);
    expect(cli.text('stdout')).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe('help of a command', () => {
  it('is the same as its --help', async () => {
    const [help, option] = [fakeCli(), fakeCli()];
    expect(await runProgram(['help', 'audit', 'list'], help)).toBe(EXIT.ok);
    expect(await runProgram(['audit', 'list', '--help'], option)).toBe(EXIT.ok);
    const text = help.text('stdout');
    expect(text).toContain('Usage: connection-secrets audit list');
    expect(text).toBe(option.text('stdout'));
  });

  it('that does not exist is an error', async () => {
    const cli = fakeCli();
    expect(await runProgram(['help', 'audti'], cli)).toBe(EXIT.usage);
    expect(cli.text('stderr')).toContain('unknown command');
  });
});

describe('version', () => {
  it('names Node.js and each library that talks to another system', async () => {
    const cli = fakeCli();
    expect(await runProgram(['version', '--json'], cli)).toBe(EXIT.ok);
    const { node, libraries } = JSON.parse(cli.text('stdout')) as { node: string; libraries: object };
    expect(node).toBe(process.version);
    expect(Object.values(libraries)).toHaveLength(7);
    for (const version of Object.values(libraries)) expect(version).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe('completion', () => {
  const completed = async (...words: string[]): Promise<string[]> => {
    const cli = fakeCli();
    expect(await runProgram(['completion', 'bash'], cli)).toBe(EXIT.ok);
    const line = ['connection-secrets', ...words].map((word) => `'${word}'`).join(' ');
    const script = `${cli.text('stdout')}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _connection_secrets; echo "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split(' ');
  };

  it('in bash knows commands, those below them, and options, also behind an argument', async () => {
    expect(await completed('ro')).toEqual(['rotate-keys']);
    expect(await completed('dead-letters', 're')).toEqual(['retry']);
    expect(await completed('audit', 'list', '--ac')).toEqual(['--action', '--actor']);
    expect(await completed('connections', 'show', 'some-id', '--j')).toEqual(['--json']);
    expect(await completed('nonsense', 'sta')).toEqual(['start']);
  });

  it('for zsh is the same through its own loader, and for fish a line for each option', async () => {
    const [zsh, fish] = [fakeCli(), fakeCli()];
    await runProgram(['completion', 'zsh'], zsh);
    expect(zsh.text('stdout')).toMatch(
      /^autoload -U \+X bashcompinit && bashcompinit\n_connection_secrets\(\)/,
    );
    await runProgram(['completion', 'fish'], fish);
    expect(fish.text('stdout')).toContain(
      "complete -c connection-secrets -n '__fish_seen_subcommand_from audit; and __fish_seen_subcommand_from list' -l actor\n",
    );
  });

  it('of another shell is refused', async () => {
    const cli = fakeCli();
    expect(await runProgram(['completion', 'tcsh'], cli)).toBe(EXIT.usage);
    expect(cli.text('stderr')).toContain('bash, zsh, fish');
  });
});

describe('errors', () => {
  it('are code, message and hint', () => {
    const cli = fakeCli();
    expect(reportError(new WorkerError('SECRET_NOT_FOUND', 'secret:/a'), cli, false)).toBe(EXIT.failed);
    expect(cli.text('stderr')).toBe(
      'error: SECRET_NOT_FOUND: secret:/a\nhint: Check the reference, the store and the region.\n',
    );
  });

  it('are one JSON line with --json', () => {
    const cli = fakeCli();
    expect(reportError(new WorkerError('KEY_MISMATCH', 'x'), cli, true)).toBe(EXIT.usage);
    expect(JSON.parse(cli.text('stderr'))).toMatchObject({ error: { code: 'KEY_MISMATCH', message: 'x' } });
  });

  it('list the mistakes of a configuration', () => {
    const cli = fakeCli();
    let problem: unknown;
    try {
      loadConfig({ FERNET_KEY: MARKER, HTTP_PORT: MARKER }, { need: [] });
    } catch (error) {
      problem = error;
    }
    expect(reportError(problem, cli, true)).toBe(EXIT.usage);
    const { error } = JSON.parse(cli.text('stderr')) as { error: { problems: { name: string }[] } };
    expect(error.problems.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['FERNET_KEY', 'HTTP_PORT']),
    );
    expect(JSON.stringify(error)).not.toContain(MARKER);
  });

  it.each([new TypeError(MARKER), MARKER, { password: MARKER }])('of strangers show no text', (error) => {
    for (const asJson of [true, false]) {
      const cli = fakeCli();
      expect(reportError(error, cli, asJson)).toBe(EXIT.failed);
      const text = cli.text('stderr');
      expect(text).toContain('INTERNAL');
      expect(text).not.toContain(MARKER);
    }
  });

  it('end with the code of their kind', () => {
    expect(exitCodeOf(new WorkerError('TOPICS_INVALID', ''))).toBe(EXIT.usage);
    expect(exitCodeOf(new WorkerError('STORE_UNAVAILABLE', ''))).toBe(EXIT.failed);
    expect(exitCodeOf(new Error())).toBe(EXIT.failed);
  });
});

describe('arguments', () => {
  it('are whole numbers within their limits', () => {
    expect(wholeNumber(-1, 5)('-1')).toBe(-1);
    for (const text of ['', '6', '-2', '1.5', '1e1', ' 1', 'x'])
      expect(() => wholeNumber(-1, 5)(text)).toThrow(InvalidArgumentError);
  });

  it('are a retention', () => {
    expect([retention('compact'), retention('-1'), retention('60000')]).toEqual(['compact', -1, 60_000]);
    expect(() => retention('week')).toThrow(InvalidArgumentError);
  });

  it('are points in time', () => {
    expect(pointInTime('24h', 86_400_000)).toBe(0);
    expect(pointInTime('2030-01-01')).toBe(Date.UTC(2030, 0, 1));
    for (const text of ['', 'yesterday', '12', '2030-13-01'])
      expect(() => pointInTime(text)).toThrow(InvalidArgumentError);
  });
});

describe('tables', () => {
  it('have columns, and a dash where nothing is', () => {
    const rows = [
      ['1', null],
      ['22', 'x'],
    ];
    const table = (hasHeaders: boolean): string => lookOf(fakeCli(), hasHeaders).table(['ID', 'NAME'], rows);
    expect(table(true)).toBe('ID  NAME\n1   -\n22  x');
    expect(table(false)).toBe('1   -\n22  x');
  });

  it('send nothing to the terminal that steers it', () => {
    expect(printable('a\u001b[31mb\u009b\u202ec\nd')).toBe('a\\u{1b}[31mb\\u{9b}\\u{202e}c\\u{a}d');
  });
});

describe('outcomes of a pipe', () => {
  const handled = (offset: number, outcome: RecordOutcome): HandledRecord => ({
    record: { topic: 't', partition: 0, offset },
    outcome,
    code: null,
    eventId: `e${offset}`,
    eventType: null,
    connectionId: null,
    secretFields: 0,
    writes: 0,
    notes: [],
    reported: [],
    isAgain: false,
    durationMs: 1,
  });

  it('are the last ones of each event', () => {
    const counts = new OutcomeCounts();
    const order = ['applied', 'waiting', 'refused', 'tombstone'] as const;
    order.forEach((outcome, offset) => counts.handled(handled(offset, outcome)));
    expect(counts.totals()).toEqual({ events: 4, applied: 1, waiting: 1, refused: 1, tombstone: 1 });
    expect(counts.deadLetters).toBe(1);
    counts.handled(handled(1, 'applied'));
    counts.handled(handled(2, 'applied'));
    expect(counts.totals()).toEqual({ events: 4, applied: 3, tombstone: 1 });
    expect(counts.deadLetters).toBe(0);
    counts.handled(handled(4, 'blocked'));
    expect(counts.deadLetters).toBe(1);
  });
});

describe('untilAborted', () => {
  it('passes everything on', async () => {
    const seen: number[] = [];
    const numbers = async function* () {
      yield 1;
      yield 2;
    };
    for await (const each of untilAborted(numbers(), new AbortController().signal)) seen.push(each);
    expect(seen).toEqual([1, 2]);
  });

  it('ends although nothing comes', async () => {
    const stop = new AbortController();
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
    const ended = (async () => {
      for await (const _each of untilAborted(silent, stop.signal)) throw new Error('nothing was sent');
      return 'ended';
    })();
    stop.abort();
    expect(await ended).toBe('ended');
  });

  it('throws what the input throws', async () => {
    const failing = async function* () {
      yield 1;
      throw new Error('gone');
    };
    const read = async () => {
      for await (const _each of untilAborted(failing(), new AbortController().signal));
    };
    await expect(read()).rejects.toThrow('gone');
  });
});

describe('the hint of a command that has ended', () => {
  it.each(Object.keys(ERROR_CODES) as (keyof typeof ERROR_CODES)[])(
    'of %s promises no repetition that nobody makes',
    (code) => {
      expect(shownError(new WorkerError(code, 'x')).hint).not.toMatch(/^(None needed|Tried again)/);
    },
  );

  it.each([
    ['28P01', 'the login was refused', 'Check user, password'],
    ['ER_ACCESS_DENIED_ERROR', 'the login was refused', 'Check user, password'],
    ['42501', 'lacks a right', 'Grant it SELECT'],
    ['08P01', 'the start of the session was refused', 'ignore_startup_parameters'],
  ])('of a database that says %s', (driverCode, what, hint) => {
    const driver = Object.assign(new Error(MARKER), { code: driverCode });
    const error = asDatabaseError(driver);
    expect(error).toBeInstanceOf(DatabaseError);
    const shown = shownError((error as DatabaseError).at('worker at db:5432 as app'));
    expect(shown.code).toBe('DATABASE_UNAVAILABLE');
    expect(shown.message).toContain('database worker at db:5432 as app: ');
    expect(shown.message).toContain(what);
    expect(shown.hint).toContain(hint);
  });
});
