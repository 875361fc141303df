import { Command } from 'commander';
import { programVersion } from '../version.js';
import { defineAdopt } from './adopt.js';
import { defineAudit } from './audit.js';
import { defineCatalog } from './catalog.js';
import { EXIT, type Cli, type ExitCode } from './cli.js';
import { defineConnections } from './connections.js';
import { defineDatabase } from './database.js';
import { defineDeadLetters } from './dead-letters.js';
import { defineDoctor } from './doctor.js';
import { reportError } from './errors.js';
import { defineGenerateKey } from './generate-key.js';
import { defineMigrateSecrets } from './migrate-secrets.js';
import { definePipe } from './pipe.js';
import { defineReplay } from './replay.js';
import { defineResolve } from './resolve.js';
import { defineRotateKeys } from './rotate-keys.js';
import { defineStart } from './start.js';
import { examples } from './text.js';
import { defineTopics } from './topics.js';
import { defineVerify } from './verify.js';

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 (pipe) some lines became dead letters.
Settings are environment variables: docs/configuration.md.`;

const COMMANDS = [
  defineStart,
  definePipe,
  defineDoctor,
  defineResolve,
  defineConnections,
  defineAudit,
  defineDeadLetters,
  defineReplay,
  defineMigrateSecrets,
  defineAdopt,
  defineDatabase,
  defineVerify,
  defineRotateKeys,
  defineTopics,
  defineCatalog,
  defineGenerateKey,
];

/** Runs one command line (without the names of node and of the file) to its end. */
export async function runProgram(args: readonly string[], cli: Cli): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = new Command('connection-secrets')
    .description('Moves the passwords of connections out of events and into the store you control.')
    .version(programVersion())
    .exitOverride()
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => cli.stdout.write(text),
      writeErr: (text) => cli.stderr.write(text),
      // Ours says code and hint as well.
      outputError: () => undefined,
    })
    .addHelpText('after', examples('generate-key', 'doctor', 'start') + '\n' + EXIT_CODES);
  for (const define of COMMANDS) define(program, cli, (ended) => (code = ended));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return reportError(error, cli, args.includes('--json'));
  }
}
