import { Argument, Option } from 'commander';
import { loadConfig } from '../config.js';
import type { Database } from '../database/database.js';
import type { ConnectionRow } from '../database/rows.js';
import { ConfigurationError } from '../errors.js';
import { KINDS } from '../terms.js';
import type { ShownConnection } from './connection-show.js';
import { command, commands, option } from './define-command.js';
import { readDatabase } from '../operations/open-database.js';
import { wholeNumber } from './parse.js';
import { formatFields, formatTable, isoTime, printable } from './text.js';

interface ListFilter {
  readonly kind?: string;
  readonly state?: ConnectionRow['state'];
  readonly limit: number;
}

const list = command<ListFilter>({
  name: 'list',
  about: 'the connections, the last changed first',
  options: [
    new Option('--kind <kind>', 'of this kind').choices(KINDS),
    new Option('--state <state>', 'in this state').choices(['live', 'softDeleted', 'deleted']),
    option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 100),
  ],
  examples: ['connections list', 'connections list --kind database --state live --json'],
  run: async (cli, filter) => {
    const listed = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
      listConnections(database, filter),
    );
    return { json: listed, text: () => listTable(listed) };
  },
});

const show = command<object, [id: string]>({
  name: 'show',
  about: 'one connection: its entity masked, and where each secret field is kept',
  args: [new Argument('<id>', 'id of the entity')],
  examples: ['connections show 11111111-0000-4000-8000-000000000001'],
  run: async (cli, _options, id) => {
    const { showConnection } = await import('./connection-show.js');
    const config = loadConfig(cli.env, { need: [] });
    const shown = await readDatabase(config, (database) => showConnection(database, id, config));
    if (shown === null)
      throw new ConfigurationError('USAGE_INVALID', 'the database knows no connection of that id');
    return { json: shown, text: () => showText(shown) };
  },
});

export const connections = commands('connections', 'what the database knows; values are never shown', [
  list,
  show,
]);

/** The last changed first. Rows that are claimed and hold nothing yet are left out. */
async function listConnections(database: Database, filter: ListFilter) {
  return database.run(async ({ manager, tables }) => {
    const query = manager
      .createQueryBuilder(tables.connection, 'connection')
      .where("connection.state <> 'new'");
    if (filter.kind !== undefined) query.andWhere('connection.kind = :kind', { kind: filter.kind });
    if (filter.state !== undefined) query.andWhere('connection.state = :state', { state: filter.state });
    const rows = await query
      .orderBy('connection.updatedAtMs', 'DESC')
      .addOrderBy('connection.id')
      .limit(filter.limit)
      .getMany();
    if (rows.length === 0) return [];
    const counts = await manager
      .createQueryBuilder(tables.reference, 'reference')
      .select('reference.connectionId', 'id')
      .addSelect('COUNT(*)', 'total')
      .groupBy('reference.connectionId')
      .getRawMany<{ id: string; total: string | number }>();
    const fieldsOf = new Map(counts.map(({ id, total }) => [id, Number(total)]));
    return rows.map(({ id, kind, serviceType, name, state, manager: keeper, revision, updatedAtMs }) => ({
      ...{ id, kind, serviceType, name, state, manager: keeper, revision },
      secretFields: fieldsOf.get(id) ?? 0,
      updatedAt: isoTime(updatedAtMs),
    }));
  });
}

function listTable(listed: Awaited<ReturnType<typeof listConnections>>): string {
  return formatTable(
    ['ID', 'KIND', 'TYPE', 'NAME', 'STATE', 'MANAGER', 'REVISION', 'SECRETS', 'UPDATED'],
    listed.map((row) => Object.values(row)),
  );
}

function showText({ entity, secretFields, ...facts }: ShownConnection): string {
  const fields = formatTable(
    ['FIELD', 'OWNED', 'KEPT IN', 'REFERENCE', 'ROW'],
    secretFields.map(({ path, owned, keptIn, reference, altered }) => [
      path,
      owned ? 'yes' : 'no',
      keptIn,
      reference,
      altered === null ? 'not checked' : altered ? 'altered' : 'as written',
    ]),
  );
  return [
    formatFields(Object.entries(facts)),
    '',
    fields,
    '',
    entity === null ? 'no entity' : JSON.stringify(entity, null, 2).split('\n').map(printable).join('\n'),
  ].join('\n');
}
