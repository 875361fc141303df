import { loadConfig, type KeyConfig } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { Database } from '../database/database.js';
import { command, commands, option } from './define-command.js';
import { openForReading, openForWriting } from '../operations/open-database.js';

const status = command({
  name: 'status',
  about: 'which migrations have run, which are pending',
  examples: ['database status', 'database status --json'],
  run: async (cli) => {
    const { schemaStatus } = await import('../database/schema.js');
    const found = await openForReading(loadConfig(cli.env, { need: [] }), schemaStatus);
    return { json: found, text: () => describeStatus(found) };
  },
});

const migrate = command({
  name: 'migrate',
  about: 'bring the schema up to this program’s version',
  examples: ['database migrate'],
  run: async (cli) => {
    const { migrateSchema } = await import('../database/schema.js');
    const ran = await openForWriting(loadConfig(cli.env, { need: [] }), migrateSchema);
    const text = ran.length === 0 ? 'The schema is up to date.' : ran.map((name) => `ran ${name}`).join('\n');
    return { json: { ran }, text: () => text };
  },
});

const revert = command<{ readonly yes?: true }>({
  name: 'revert',
  about: 'undo the newest migration; refused where the database holds connections, unless --yes',
  options: [option('--yes', 'also where connections are lost by it')],
  examples: ['database revert', 'database revert --yes'],
  run: async (cli, { yes }) => {
    const config = loadConfig(cli.env, { need: [] });
    const reverted = await openForWriting(config, (opened) => undo(opened, config.keys, yes === true));
    const text = reverted === null ? 'There is nothing to undo.' : `undone ${reverted}`;
    return { json: { reverted }, text: () => text };
  },
});

export const database = commands('database', "the database's schema: its version, up and down", [
  status,
  migrate,
  revert,
]);

async function undo(opened: Database, keys: KeyConfig | null, isSure: boolean): Promise<string | null> {
  const { revertSchema, schemaStatus } = await import('../database/schema.js');
  const { executed } = await schemaStatus(opened);
  if (!isSure && executed.length > 0) {
    const count = await opened.run(({ manager, tables }) => manager.count(tables.connection));
    if (count > 0)
      throw new ConfigurationError(
        'USAGE_INVALID',
        `the database holds ${count} connections, whose secrets may be lost by this: make a backup, then repeat it with --yes`,
      );
  }
  return revertSchema(opened, keys);
}

function describeStatus({
  executed,
  pending,
  unknown,
}: Record<'executed' | 'pending' | 'unknown', readonly string[]>): string {
  const verdict =
    unknown.length > 0
      ? 'The schema is newer than this program.'
      : pending.length > 0
        ? 'The schema is older than this program: run `connection-secrets database migrate`.'
        : 'The schema is up to date.';
  return [
    ...executed.map((name) => `done     ${name}${unknown.includes(name) ? ' (not known here)' : ''}`),
    ...pending.map((name) => `pending  ${name}`),
    verdict,
  ].join('\n');
}
