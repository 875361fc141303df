import { Argument } from 'commander';
import { loadConfig } from '../config.js';
import { wholePage } from '../database/page.js';
import { command } from './define-command.js';

export const resolve = command<object, [references: readonly string[]]>({
  name: 'resolve',
  about: 'print the values of references, one a line: all of them, or none and an error',
  args: [new Argument('<ref...>', 'secret:/…, or a fernet: token of a secured event')],
  names: 'reference',
  examples: ['resolve secret:/openmetadata/database/mysql-test/password', 'resolve fernet:gAAAAABk… --json'],
  notes: 'This command prints secrets. Nothing else does. Values with line breaks: use --output json.',
  run: async (cli, _options, references) => {
    const { resolveReferences } = await import('./resolve-references.js');
    const found = await resolveReferences(references, loadConfig(cli.env, { need: ['keys'] }));
    const values = found.map((value) => value.reveal());
    return {
      json: wholePage(references.map((reference, index) => ({ reference, value: values[index] ?? null }))),
      text: () => values.join('\n'),
    };
  },
});
