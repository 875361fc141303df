import type { Command } from 'commander';
import { loadConfig, type Config } from '../config.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { examples } from './text.js';

export function defineResolve(program: Command, cli: Cli, done: Done): void {
  program
    .command('resolve')
    .description('print the values of references, one a line: all of them, or none and an error')
    .argument('<ref...>', 'secret:/…, or a fernet: token of a secured event')
    .option('--json', 'print it as JSON: for values with line breaks')
    .addHelpText(
      'after',
      examples(
        'resolve secret:/openmetadata/database/mysql-test/password',
        'resolve fernet:gAAAAABk… --json',
      ) + '\n\nThis command prints secrets. Nothing else does.',
    )
    .action(async (references: readonly string[], { json }: { json?: true }) => {
      const config: Config<'keys'> = loadConfig(cli.env, { need: ['keys'] });
      const { resolveReferences } = await import('./resolve-references.js');
      const values = await resolveReferences(references, config);
      if (json)
        printJson(
          cli,
          references.map((reference, index) => ({ reference, value: values[index]?.reveal() ?? null })),
        );
      else for (const value of values) printLine(cli, value.reveal());
      done(EXIT.ok);
    });
}
