import type { Command } from 'commander';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { examples } from './text.js';

export function defineGenerateKey(program: Command, cli: Cli, done: Done): void {
  program
    .command('generate-key')
    .description('print a new Fernet key (32 random bytes in base64url)')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('generate-key', 'generate-key --json'))
    .action(async ({ json }: { json?: true }) => {
      const { generateKey } = await import('../fernet/index.js');
      const key = generateKey();
      if (json) printJson(cli, { key });
      else printLine(cli, key);
      done(EXIT.ok);
    });
}
