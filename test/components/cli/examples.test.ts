import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import { defineProgram, runProgram } from '../../../src/cli/program.js';
import { KeyRing, sealText } from '../../../src/fernet/index.js';
import { runCli } from '../../harness/index.js';
import { answerOf, describedCommands } from '../../harness/json-schemas.js';
import { runHere } from '../operations/verify-worlds.js';
import { changeEvent, localSetup } from './support.js';

const ID = '11111111-0000-4000-8000-000000000001';

function quiet() {
  return { env: {}, stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
}

/** Every command that does something, from its words. */
function allCommands(
  command: Command = defineProgram(quiet(), () => undefined),
  words: readonly string[] = [],
): Map<string, Command> {
  const below = command.commands.flatMap((one) => [...allCommands(one, [...words, one.name()])]);
  const does = command.commands.length === 0 || command.options.length > 0;
  return new Map([...(does && words.length > 0 ? [[words.join(' '), command] as const] : []), ...below]);
}

/** The words of each example below a command's help; what a shell does with its output is left out. */
async function examplesOf(command: string): Promise<string[][]> {
  const cli = quiet();
  await runProgram([...command.split(' '), '--help'], cli);
  const help = (cli.stdout.read() as Buffer).toString();
  return [...help.matchAll(/^ {2}\$ connection-secrets (.*)$/gm)].map(([, line = '']) =>
    [...(/^[^<>|]*/.exec(line)?.[0] ?? '').matchAll(/"([^"]*)"|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain ?? '',
    ),
  );
}

/** The longest names last. */
const COMMANDS = [...allCommands().keys()].sort((left, right) => left.length - right.length);

describe('the examples of every help', () => {
  it.each(COMMANDS)('of %s are what the command takes', async (command) => {
    const examples = await examplesOf(command);
    expect(examples).not.toEqual([]);
    for (const words of examples) {
      const program = defineProgram(quiet(), () => undefined);
      let called = '';
      for (const [name, one] of allCommands(program)) one.action(() => void (called = name));
      await program.parseAsync(words, { from: 'user' });
      expect(words.slice(0, called.split(' ').length).join(' ')).toBe(called);
    }
  });
});

it('docs/schemas/commands.json has every command that answers', () => {
  const answering = [...allCommands()].filter(([, { options }]) =>
    options.some(({ long }) => long === '--output'),
  );
  const described = [...describedCommands()];
  const names = answering.map(([name]) => name.replaceAll(' ', '-'));
  expect(described).toEqual(expect.arrayContaining([...names, 'error']));
});

/** They change nothing, and need no broker and no other store than the one they are given here. */
const READS =
  /^(resolve|connections|audit|dead-letters (list|show)|replay status|migrate-secrets status|database status|catalog show|version|generate-key|completion|doctor$|doctor --json|verify$|verify --json|rotate-keys --dry-run|adopt --dry-run)/;

describe('run for real', () => {
  let env: Readonly<Record<string, string>>;
  let placeholders: Readonly<Record<string, string>>;
  beforeAll(async () => {
    const setup = localSetup();
    env = setup.env;
    const input = `${changeEvent({ id: ID })}\n{"not": "an event"}\n`;
    expect((await runCli(['pipe'], { env, input })).code).toBe(3);
    const { stdout } = await runHere(['dead-letters', 'list', '-o', 'name'], env);
    placeholders = {
      '4f1c…': ID,
      '3f7a90': stdout.slice(0, 6),
      'fernet:gAAAAABk…': sealText(KeyRing.parse('FERNET_KEY', env['FERNET_KEY'] ?? ''), 'a value'),
    };
  });

  it.each(COMMANDS)('the examples of %s that only read end with 0, as the schemas say', async (command) => {
    for (const example of await examplesOf(command)) {
      if (!READS.test(example.join(' '))) continue;
      const words = example.map((word) => placeholders[word] ?? word);
      const shown = await runHere(words, env);
      expect({ words, code: shown.code, stderr: shown.stderr }).toMatchObject({ code: 0 });
      expect(shown.stdout).not.toBe('');
      if (command === 'completion') continue;
      const called = COMMANDS.filter((name) => words.join(' ').startsWith(name)).at(-1) ?? '';
      const json = await runHere(
        [...words.filter((word) => !/^(--output|json|yaml)$/.test(word)), '--json'],
        env,
      );
      answerOf(called, json.stdout);
    }
  });

  it('commands that change something answer as the schemas say', async () => {
    const steps = [
      ['dead-letters retry', '--all'],
      ['dead-letters discard', '--all', '--yes'],
      ['verify', '--repair'],
      ['rotate-keys'],
      ['adopt'],
      ['migrate-secrets', '--to', 'db', '--dry-run'],
      ['migrate-secrets', '--to', 'db', '--yes'],
      ['migrate-secrets rollback', '--yes'],
      ['migrate-secrets status'],
      ['database migrate'],
      ['database revert', '--yes'],
    ];
    for (const [command = '', ...options] of steps) {
      // A schema is not reverted while an event waits to be published.
      if (command === 'database revert') await runCli(['pipe'], { env, input: '' });
      const { code, stdout, stderr } = await runHere([...command.split(' '), ...options, '--json'], env);
      expect({ command, code, stderr }).toMatchObject({ code: 0 });
      answerOf(command, stdout);
    }
    const failed = await runHere(['connections', 'list', '--json'], env);
    answerOf('error', failed.stderr);
  });
});
