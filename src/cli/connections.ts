import { Argument, Option } from 'commander';
import { loadConfig } from '../config.js';
import type { Database } from '../database/database.js';
import { mapPage, readPage, type Page } from '../database/page.js';
import type { ConnectionRow } from '../database/rows.js';
import { MANAGER_NAMES } from '../secrets-managers/providers.js';
import { KINDS } from '../terms.js';
import type { ShownConnection } from './connection-show.js';
import { command, commands } from './define-command.js';
import { listAnswer, PAGE_OPTIONS, pageRequest, type PageOptions } from './output.js';
import { readDatabase } from '../operations/open-database.js';
import { shortText } from './parse.js';
import { formatFields, isoTime, printable, type Look } from './text.js';

interface ListOptions extends PageOptions {
  readonly name?: string;
  readonly kind?: string;
  readonly type?: string;
  readonly state?: ConnectionRow['state'];
  readonly manager?: string;
}

const list = command<ListOptions>({
  name: 'list',
  about: 'the connections, the last changed first',
  names: 'id',
  options: [
    new Option('--name <text>', 'with this text in the name, whatever its case').argParser(shortText),
    new Option('--kind <kind>', 'of this kind').choices(KINDS),
    new Option('--type <type>', 'of this type of service, such as Mysql').argParser(shortText),
    new Option('--state <state>', 'in this state').choices(['live', 'softDeleted', 'deleted']),
    new Option('--manager <manager>', 'whose secrets are kept there').choices(MANAGER_NAMES),
    ...PAGE_OPTIONS,
  ],
  examples: [
    'connections list',
    'connections list --name mysql --state live',
    'connections list --kind database --all --output json',
  ],
  run: async (cli, options) => {
    const page = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
      listConnections(database, options),
    );
    return listAnswer<Listed>(page, COLUMNS);
  },
});

const show = command<object, [given: string]>({
  name: 'show',
  about: 'one connection: its entity masked, and where each secret field is kept',
  names: 'id',
  args: [
    new Argument('<connection>', 'its id, the first characters of it, or its name').argParser(shortText),
  ],
  examples: ['connections show mysql-test', 'connections show 11111111'],
  run: async (cli, _options, given) => {
    const { showConnection } = await import('./connection-show.js');
    const config = loadConfig(cli.env, { need: [] });
    const shown = await readDatabase(config, (database) => showConnection(database, given, config));
    return { json: shown, text: (look) => showText(shown, look) };
  },
});

export const connections = commands('connections', 'what the database knows; values are never shown', [
  list,
  show,
]);

type Listed = Awaited<ReturnType<typeof listConnections>>['items'][number];

/** The last changed first. Rows that are claimed and hold nothing yet are left out. */
async function listConnections(database: Database, options: ListOptions) {
  return database.run(async ({ manager, tables }) => {
    const query = manager
      .createQueryBuilder(tables.connection, 'connection')
      .where("connection.state <> 'new'");
    const { name, kind, type, state, manager: keeper } = options;
    const exact = { kind, serviceType: type, state, manager: keeper };
    for (const [column, value] of Object.entries(exact))
      if (value !== undefined) query.andWhere(`connection.${column} = :${column}`, { [column]: value });
    if (name !== undefined)
      query.andWhere(
        "(LOWER(connection.name) LIKE :name ESCAPE '!' OR LOWER(connection.fullyQualifiedName) LIKE :name ESCAPE '!')",
        { name: `%${name.toLowerCase().replace(/[!%_]/g, '!$&')}%` },
      );
    const order = { at: 'updatedAtMs', id: 'id', direction: 'DESC' } as const;
    const page: Page<ConnectionRow> = await readPage(query, order, pageRequest(options));
    const counts = await manager
      .createQueryBuilder(tables.reference, 'reference')
      .select('reference.connectionId', 'id')
      .addSelect('COUNT(*)', 'total')
      .groupBy('reference.connectionId')
      .getRawMany<{ id: string; total: string | number }>();
    const fieldsOf = new Map(counts.map(({ id, total }) => [id, Number(total)]));
    return mapPage(page, ({ id, kind, serviceType, name, state, manager, revision, updatedAtMs }) => ({
      ...{ id, kind, serviceType, name, state, manager, revision },
      secretFields: fieldsOf.get(id) ?? 0,
      updatedAt: isoTime(updatedAtMs),
    }));
  });
}

const COLUMNS = {
  ID: ({ id }: Listed) => id,
  KIND: ({ kind }: Listed) => kind,
  TYPE: ({ serviceType }: Listed) => serviceType,
  NAME: ({ name }: Listed) => name,
  STATE: ({ state }: Listed) => state,
  MANAGER: ({ manager }: Listed) => manager,
  REVISION: ({ revision }: Listed) => revision,
  SECRETS: ({ secretFields }: Listed) => secretFields,
  UPDATED: ({ updatedAt }: Listed) => updatedAt,
};

function showText({ entity, secretFields, ...facts }: ShownConnection, look: Look): string {
  const fields = look.table(
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
