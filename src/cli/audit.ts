import { Option, type Command } from 'commander';
import { loadConfig } from '../config.js';
import type { AuditRow } from '../database/rows.js';
import type { NamedFields } from '../pipeline/named-fields.js';
import { AUDIT_ACTIONS, type AuditAction } from '../pipeline/audit.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { pointInTime, wholeNumber } from './parse.js';
import { readDatabase } from './read-database.js';
import { examples, formatTable, isoTime } from './text.js';

interface ListOptions {
  readonly connection?: string;
  readonly action?: AuditAction;
  readonly actor?: string;
  readonly since?: number;
  readonly limit: number;
  readonly json?: true;
}

export function defineAudit(program: Command, cli: Cli, done: Done): void {
  const audit = program.command('audit').description('who changed what; no values');
  audit
    .command('list')
    .description('the newest entries first')
    .option('--connection <id>', 'of this connection')
    .addOption(new Option('--action <word>', 'what was done').choices(AUDIT_ACTIONS))
    .option('--actor <name>', 'by whom: the userName of an event, or cli: and a user of this machine')
    .option('--since <time>', 'not older: 2030-01-31T12:00:00Z, or an age such as 24h', (text) =>
      pointInTime(text),
    )
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 100)
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples(
        'audit list --since 24h',
        'audit list --action mask-on-new-endpoint',
        'audit list --actor mallory --json',
        'audit list --connection 4f1c… --action update --json',
      ),
    )
    .action(async (options: ListOptions) => {
      const rows = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
        database.run(({ manager, tables }) => {
          const query = manager.createQueryBuilder(tables.audit, 'audit');
          if (options.connection !== undefined)
            query.andWhere('audit.connectionId = :connection', { connection: options.connection });
          if (options.action !== undefined)
            query.andWhere('audit.action = :action', { action: options.action });
          if (options.actor !== undefined) query.andWhere('audit.actor = :actor', { actor: options.actor });
          if (options.since !== undefined) query.andWhere('audit.atMs >= :since', { since: options.since });
          return query.orderBy('audit.atMs', 'DESC').limit(options.limit).getMany();
        }),
      );
      if (options.json) printJson(cli, rows.map(asJson));
      else printLine(cli, asTable(rows));
      done(EXIT.ok);
    });
}

function asJson({
  id,
  atMs,
  action,
  actor,
  connectionId,
  path,
  secretId,
  eventId,
  detail,
  fields,
}: AuditRow): object {
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
