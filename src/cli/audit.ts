import type { Command } from 'commander';
import { loadConfig } from '../config.js';
import type { AuditRow } from '../database/rows.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { pointInTime, wholeNumber } from './parse.js';
import { readDatabase } from './read-database.js';
import { examples, formatTable, isoTime } from './text.js';

interface ListOptions {
  readonly connection?: string;
  readonly action?: string;
  readonly since?: number;
  readonly limit: number;
  readonly json?: true;
}

export function defineAudit(program: Command, cli: Cli, done: Done): void {
  const audit = program.command('audit').description('who did what to which secret; no values');
  audit
    .command('list')
    .description('the newest entries first')
    .option('--connection <id>', 'of this connection')
    .option(
      '--action <word>',
      'create, update, adopt, restore, retire, delete, forget, repair, lost, refuse, discard, rotate',
    )
    .option('--since <time>', 'not older: 2030-01-31T12:00:00Z, or an age such as 24h', (text) =>
      pointInTime(text),
    )
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 100)
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('audit list --since 24h', 'audit list --connection 4f1c… --action update --json'),
    )
    .action(async (options: ListOptions) => {
      const rows = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
        database.run(({ manager, tables }) => {
          const query = manager.createQueryBuilder(tables.audit, 'audit');
          if (options.connection !== undefined)
            query.andWhere('audit.connectionId = :connection', { connection: options.connection });
          if (options.action !== undefined)
            query.andWhere('audit.action = :action', { action: options.action });
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
}: AuditRow): object {
  return { id, time: isoTime(atMs), action, actor, connectionId, path, secretId, eventId, detail };
}

function asTable(rows: readonly AuditRow[]): string {
  return formatTable(
    ['TIME', 'ACTION', 'CONNECTION', 'FIELD', 'SECRET ID', 'ACTOR', 'EVENT', 'DETAIL'],
    rows.map((row) => [
      isoTime(row.atMs),
      row.action,
      row.connectionId,
      row.path,
      row.secretId,
      row.actor,
      row.eventId,
      row.detail,
    ]),
  );
}
