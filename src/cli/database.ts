import { loadConfig } from '../config.js';
import { counted } from '../plural.js';
import { command, commands } from './define-command.js';
import { openForReading, openForWriting } from '../operations/open-database.js';

const status = command({
  name: 'status',
  about: 'which schema migrations have run, which are pending',
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

const revert = command({
  name: 'revert',
  about: 'undo the newest schema migration; asks first where connections are in the database',
  examples: ['database revert', 'database revert --yes'],
  confirms: async (cli) => {
    const { schemaStatus } = await import('../database/schema.js');
    const count = await openForReading(loadConfig(cli.env, { need: [] }), async (opened) => {
      const { executed } = await schemaStatus(opened);
      return executed.length === 0
        ? 0
        : opened.run(({ manager, tables }) => manager.count(tables.connection));
    });
    return count === 0
      ? null
      : `the database holds ${counted(count, 'connection')}: reverting may lose their secrets. Make a backup first`;
  },
  run: async (cli) => {
    const { revertSchema } = await import('../database/schema.js');
    const config = loadConfig(cli.env, { need: [] });
    const reverted = await openForWriting(config, (opened) => revertSchema(opened, config.keys));
    const text = reverted === null ? 'There is nothing to undo.' : `undone ${reverted}`;
    return { json: { reverted }, text: () => text };
  },
});

export const database = commands('database', "the database's schema: its version, up and down", [
  status,
  migrate,
  revert,
]);

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
