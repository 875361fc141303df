import { Option } from 'commander';
import { loadConfig } from '../config.js';
import { mapPage, readPage } from '../database/page.js';
import type { AuditRow } from '../database/rows.js';
import type { NamedFields } from '../pipeline/notes.js';
import { AUDIT_ACTIONS, type AuditAction } from '../pipeline/audit.js';
import { command, commands, option } from './define-command.js';
import { listAnswer, PAGE_OPTIONS, pageRequest, type PageOptions } from './output.js';
import { pointInTime } from './parse.js';
import { readDatabase } from '../operations/open-database.js';
import { isoTime } from './text.js';

interface ListOptions extends PageOptions {
  readonly connection?: string;
  readonly action?: AuditAction;
  readonly actor?: string;
  readonly since?: number;
}

const list = command<ListOptions>({
  name: 'list',
  about: 'the newest entries first',
  names: 'id',
  options: [
    new Option('--connection <id>', 'of this connection'),
    new Option('--action <word>', 'what was done').choices(AUDIT_ACTIONS),
    new Option('--actor <name>', 'by whom: the userName of an event, or cli: and a user of this machine'),
    option('--since <time>', 'not older: 2030-01-31T12:00:00Z, or an age such as 24h', (text) =>
      pointInTime(text),
    ),
    ...PAGE_OPTIONS,
  ],
  examples: [
    'audit list --since 24h',
    'audit list --action mask-on-new-endpoint',
    'audit list --actor mallory --json',
    'audit list --connection 4f1c… --action update --json',
  ],
  run: async (cli, options) => {
    const { connection, action, actor, since } = options;
    const page = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
      database.run(({ manager, tables }) => {
        const query = manager.createQueryBuilder(tables.audit, 'audit');
        if (connection !== undefined) query.andWhere('audit.connectionId = :connection', { connection });
        if (action !== undefined) query.andWhere('audit.action = :action', { action });
        if (actor !== undefined) query.andWhere('audit.actor = :actor', { actor });
        if (since !== undefined) query.andWhere('audit.atMs >= :since', { since });
        return readPage(query, { at: 'atMs', id: 'id', direction: 'DESC' }, pageRequest(options));
      }),
    );
    return listAnswer(mapPage(page, asJson), COLUMNS);
  },
});

export const audit = commands('audit', 'who changed what; no values', [list]);

type Entry = ReturnType<typeof asJson>;

function asJson({ id, atMs, ...row }: AuditRow) {
  const { action, actor, connectionId, path, secretId, eventId, detail, fields } = row;
  return {
    id,
    createdAt: isoTime(atMs),
    action,
    actor,
    connectionId,
    path,
    secretId,
    eventId,
    detail,
    fields,
  };
}

const COLUMNS = {
  TIME: (entry: Entry) => entry.createdAt,
  ACTION: (entry: Entry) => entry.action,
  CONNECTION: (entry: Entry) => entry.connectionId,
  FIELD: (entry: Entry) => (entry.fields === null ? entry.path : fieldsOf(entry.fields)),
  'SECRET ID': (entry: Entry) => entry.secretId,
  ACTOR: (entry: Entry) => entry.actor,
  EVENT: (entry: Entry) => entry.eventId,
  DETAIL: (entry: Entry) => entry.detail,
};

const MOST_SHOWN = 5;

/** Some of them: `--json` has the others. */
function fieldsOf({ secret, plain, more }: NamedFields): string {
  const all = [...secret, ...plain];
  const rest = more + Math.max(0, all.length - MOST_SHOWN);
  return all.slice(0, MOST_SHOWN).join(' ') + (rest === 0 ? '' : ` and ${rest} more`);
}
