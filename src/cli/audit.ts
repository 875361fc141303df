import { Option } from 'commander';
import { loadConfig } from '../config.js';
import type { AuditRow } from '../database/rows.js';
import type { NamedFields } from '../pipeline/notes.js';
import { AUDIT_ACTIONS, type AuditAction } from '../pipeline/audit.js';
import { command, commands, option } from './define-command.js';
import { pointInTime, wholeNumber } from './parse.js';
import { readDatabase } from '../operations/open-database.js';
import { formatTable, isoTime } from './text.js';

interface ListOptions {
  readonly connection?: string;
  readonly action?: AuditAction;
  readonly actor?: string;
  readonly since?: number;
  readonly limit: number;
}

const list = command<ListOptions>({
  name: 'list',
  about: 'the newest entries first',
  options: [
    new Option('--connection <id>', 'of this connection'),
    new Option('--action <word>', 'what was done').choices(AUDIT_ACTIONS),
    new Option('--actor <name>', 'by whom: the userName of an event, or cli: and a user of this machine'),
    option('--since <time>', 'not older: 2030-01-31T12:00:00Z, or an age such as 24h', (text) =>
      pointInTime(text),
    ),
    option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 100),
  ],
  examples: [
    'audit list --since 24h',
    'audit list --action mask-on-new-endpoint',
    'audit list --actor mallory --json',
    'audit list --connection 4f1c… --action update --json',
  ],
  run: async (cli, { connection, action, actor, since, limit }) => {
    const rows = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
      database.run(({ manager, tables }) => {
        const query = manager.createQueryBuilder(tables.audit, 'audit');
        if (connection !== undefined) query.andWhere('audit.connectionId = :connection', { connection });
        if (action !== undefined) query.andWhere('audit.action = :action', { action });
        if (actor !== undefined) query.andWhere('audit.actor = :actor', { actor });
        if (since !== undefined) query.andWhere('audit.atMs >= :since', { since });
        return query.orderBy('audit.atMs', 'DESC').limit(limit).getMany();
      }),
    );
    return { json: rows.map(asJson), text: () => asTable(rows) };
  },
});

export const audit = commands('audit', 'who changed what; no values', [list]);

function asJson({ id, atMs, ...row }: AuditRow): object {
  const { action, actor, connectionId, path, secretId, eventId, detail, fields } = row;
  return { id, time: isoTime(atMs), action, actor, connectionId, path, secretId, eventId, detail, fields };
}

function asTable(rows: readonly AuditRow[]): string {
  return formatTable(
    ['TIME', 'ACTION', 'CONNECTION', 'FIELD', 'SECRET ID', 'ACTOR', 'EVENT', 'DETAIL'],
    rows.map((row) => [
      isoTime(row.atMs),
      row.action,
      row.connectionId,
      row.fields === null ? row.path : fieldsOf(row.fields),
      row.secretId,
      row.actor,
      row.eventId,
      row.detail,
    ]),
  );
}

const MOST_SHOWN = 5;

/** Some of them: `--json` has the others. */
function fieldsOf({ secret, plain, more }: NamedFields): string {
  const all = [...secret, ...plain];
  const rest = more + Math.max(0, all.length - MOST_SHOWN);
  return all.slice(0, MOST_SHOWN).join(' ') + (rest === 0 ? '' : ` and ${rest} more`);
}
