import { Command } from 'commander';
import { programVersion } from '../version.js';
import { adopt } from './adopt.js';
import { audit } from './audit.js';
import { catalog } from './catalog.js';
import { EXIT, PROGRAM, type Cli, type ExitCode } from './cli.js';
import { completion } from './completion.js';
import { connections } from './connections.js';
import { database } from './database.js';
import { deadLetters } from './dead-letters.js';
import { examples } from './define-command.js';
import { doctor } from './doctor.js';
import { reportError } from './errors.js';
import { generateKey } from './generate-key.js';
import { migrateSecrets } from './migrate-secrets.js';
import { isForPrograms } from './output.js';
import { pipe } from './pipe.js';
import { replay } from './replay.js';
import { resolve } from './resolve.js';
import { rotateKeys } from './rotate-keys.js';
import { start } from './start.js';
import { topics } from './topics.js';
import { verify } from './verify.js';
import { version } from './version.js';

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 (pipe) some lines became dead letters.
Settings are environment variables: docs/configuration.md.`;

const COMMANDS = [
  start,
  pipe,
  doctor,
  resolve,
  connections,
  audit,
  deadLetters,
  replay,
  migrateSecrets,
  adopt,
  database,
  verify,
  rotateKeys,
  topics,
  catalog,
  generateKey,
  version,
  completion,
];

/** Runs one command line (without the names of node and of the file) to its end. */
export async function runProgram(args: readonly string[], cli: Cli): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = defineProgram(cli, (ended) => (code = ended));
  try {
    await program.parseAsync(askedFor(args, program), { from: 'user' });
    return code;
  } catch (error) {
    const command = [PROGRAM, ...namesOf(args, program)].join(' ');
    return reportError(error, cli, isForPrograms(args), command);
  }
}

/** The program with all its commands; `done` is called with how one ended. */
export function defineProgram(cli: Cli, done: (code: ExitCode) => void): Command {
  const program = new Command(PROGRAM)
    .description('Moves the passwords of connections out of events and into the store you control.')
    .version(programVersion())
    .exitOverride()
    .helpCommand('help [command...]', 'the same as --help of the command')
    .configureOutput({
      writeOut: (text) => cli.stdout.write(text),
      writeErr: (text) => cli.stderr.write(text),
      // Ours says code and hint as well.
      outputError: () => undefined,
    })
    .addHelpText('after', examples('generate-key', 'doctor', 'start') + '\n' + EXIT_CODES);
  for (const define of COMMANDS) define(program, cli, done);
  return program;
}

/** `help audit list` as `audit list --help`: commander's own help knows no command below another. */
function askedFor([first, ...words]: readonly string[], program: Command): string[] {
  if (first !== 'help') return first === undefined ? [] : [first, ...words];
  const isKnown = namesOf(words, program).length === words.length;
  // Without --help an unknown command is named as such.
  return isKnown ? [...words, '--help'] : words;
}

/** The names of commands that a command line begins with. */
function namesOf([first, ...words]: readonly string[], parent: Command): string[] {
  const command = parent.commands.find((one) => one.name() === first);
  return command === undefined ? [] : [command.name(), ...namesOf(words, command)];
}
