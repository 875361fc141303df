import { InvalidArgumentError, type Command } from 'commander';
import { loadConfig } from '../config.js';
import type { Database } from '../database/database.js';
import { ConfigurationError, ERROR_CODES, WorkerError, type ErrorCode } from '../errors.js';
import type { KeptEvent, KeptFilter } from '../database/dead-letters.js';
import { operatorName } from '../operator.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { wholeNumber } from './parse.js';
import { readDatabase } from './read-database.js';
import { examples, formatFields, formatTable, isoTime } from './text.js';
import { writeDatabase } from './write-database.js';

interface FilterOptions {
  readonly state?: 'waiting' | 'dead';
  readonly code?: ErrorCode;
  readonly connection?: string;
  readonly json?: true;
}

interface ChangeOptions extends FilterOptions {
  readonly all?: true;
  readonly reason?: string;
}

const LIST_LIMIT = 100;
const EVERYTHING = Number.MAX_SAFE_INTEGER;
const ID = /^[0-9a-f]{6,64}$/;

export function defineDeadLetters(program: Command, cli: Cli, done: Done): void {
  const deadLetters = program
    .command('dead-letters')
    .description('events that wait or cannot be processed: see, retry, discard');
  defineList(deadLetters, cli, done);
  defineShow(deadLetters, cli, done);
  defineRetry(deadLetters, cli, done);
  defineDiscard(deadLetters, cli, done);
}

function defineList(parent: Command, cli: Cli, done: Done): void {
  withFilters(parent.command('list'))
    .description('kept events, the oldest event first')
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), LIST_LIMIT)
    .addHelpText(
      'after',
      examples('dead-letters list', 'dead-letters list --code SECRET_ID_COLLISION --json'),
    )
    .action(async (options: FilterOptions & { limit: number }) => {
      const kept = await readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
        const { findKept } = await import('../database/dead-letters.js');
        return findKept(database, filterOf(options), options.limit);
      });
      if (options.json) printJson(cli, kept.map(asJson));
      else printLine(cli, asTable(kept));
      done(EXIT.ok);
    });
}

function defineShow(parent: Command, cli: Cli, done: Done): void {
  parent
    .command('show')
    .argument('<id>', 'of the list; its first characters will do', anId)
    .description('one kept event with the reason and the remedy; never its values')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('dead-letters show 3f7a90'))
    .action(async (id: string, { json }: FilterOptions) => {
      const kept = await readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
        const { findKept } = await import('../database/dead-letters.js');
        return findKept(database, { ids: [id] }, 2);
      });
      const one = theOnly(kept, id);
      if (json) printJson(cli, asJson(one));
      else printLine(cli, describe(one));
      done(EXIT.ok);
    });
}

function defineRetry(parent: Command, cli: Cli, done: Done): void {
  withFilters(parent.command('retry'))
    .argument('[id...]', 'of the list; first characters will do', moreIds)
    .description('have them tried again in their order, by the running worker or the next `pipe`')
    .option('--all', 'all dead letters')
    .addHelpText('after', examples('dead-letters retry 3f7a90', 'dead-letters retry --code TOKEN_NOT_OPENED'))
    .action(async (ids: readonly string[] | undefined, options: ChangeOptions) => {
      const kept = await changeKept(cli, async (database) => {
        const { scheduleRetry } = await import('../database/dead-letters.js');
        return scheduleRetry(database, chosen(ids ?? [], options), EVERYTHING);
      });
      report(cli, kept, options, 'to be tried again');
      done(kept.length > 0 ? EXIT.ok : EXIT.failed);
    });
}

function defineDiscard(parent: Command, cli: Cli, done: Done): void {
  withFilters(parent.command('discard'))
    .argument('[id...]', 'of the list; first characters will do', moreIds)
    .description('give them up for good; the audit says who did and why')
    .option('--all', 'all dead letters')
    .option('--reason <text>', 'why, for the audit')
    .addHelpText('after', examples('dead-letters discard 3f7a90 --reason "published again"'))
    .action(async (ids: readonly string[] | undefined, options: ChangeOptions) => {
      const actor = operatorName();
      const kept = await changeKept(cli, async (database) => {
        const { discard } = await import('../database/dead-letters.js');
        return discard(database, chosen(ids ?? [], options), { actor, reason: options.reason ?? null });
      });
      report(cli, kept, options, 'discarded');
      done(kept.length > 0 ? EXIT.ok : EXIT.failed);
    });
}

function withFilters(command: Command): Command {
  return command
    .option('--state <word>', 'waiting or dead', aState)
    .option('--code <code>', 'with this error code (docs/errors.md)', aCode)
    .option('--connection <id>', 'of this connection')
    .option('--json', 'print it as JSON');
}

function filterOf({ state, code, connection }: FilterOptions): KeptFilter {
  return {
    ...(state === undefined ? {} : { state }),
    ...(code === undefined ? {} : { code }),
    ...(connection === undefined ? {} : { connectionId: connection }),
  };
}

/** What `retry` and `discard` are to change has to be said: ids, a filter, or --all. */
function chosen(ids: readonly string[], options: ChangeOptions): KeptFilter {
  const filter = filterOf(options);
  const isNarrow = ids.length > 0 || Object.keys(filter).length > 0;
  if (isNarrow === (options.all === true))
    throw new ConfigurationError(
      'USAGE_INVALID',
      'name ids or a filter (--code, --connection, --state), or say --all',
    );
  if (options.all) return { state: 'dead' };
  return ids.length > 0 ? { ...filter, ids } : filter;
}

function theOnly(kept: readonly KeptEvent[], id: string): KeptEvent {
  const [one, other] = kept;
  if (one === undefined)
    throw new WorkerError('USAGE_INVALID', `no kept event has an id that begins with ${id}`);
  if (other !== undefined)
    throw new WorkerError('USAGE_INVALID', `several kept events have ids that begin with ${id}`);
  return one;
}

/** A schema that is not this program's is left alone. */
async function changeKept<T>(cli: Cli, work: (database: Database) => Promise<T>): Promise<T> {
  return writeDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { requireCurrentSchema } = await import('../database/schema.js');
    await requireCurrentSchema(database);
    return work(database);
  });
}

function report(cli: Cli, kept: readonly KeptEvent[], { json }: ChangeOptions, what: string): void {
  if (json) printJson(cli, kept.map(asJson));
  else
    printLine(
      cli,
      kept.length === 0 ? 'There is no such kept event.' : `${asTable(kept)}\n${kept.length} ${what}`,
    );
}

function asJson(kept: KeptEvent): object {
  const { eventHash: id, position: offset, createdAtMs, updatedAtMs, waitUntilMs, nextAttemptAtMs } = kept;
  const { state, code, detail, connectionId, eventId, topic, partition, sets, attempts } = kept;
  return {
    id,
    state,
    code,
    detail,
    remedy: ERROR_CODES[code].remedy,
    connectionId,
    eventId,
    source: { topic, partition, offset },
    sets,
    attempts,
    created: isoTime(createdAtMs),
    updated: isoTime(updatedAtMs),
    waitUntil: waitUntilMs === null ? null : isoTime(waitUntilMs),
    nextAttempt: nextAttemptAtMs === null ? null : isoTime(nextAttemptAtMs),
  };
}

function asTable(kept: readonly KeptEvent[]): string {
  return formatTable(
    ['ID', 'STATE', 'CODE', 'CONNECTION', 'EVENT', 'SOURCE', 'ATTEMPTS', 'SINCE'],
    kept.map((one) => [
      one.eventHash.slice(0, 12),
      one.state,
      one.code,
      one.connectionId,
      one.eventId,
      `${one.topic}/${one.partition}/${one.position}`,
      one.attempts,
      isoTime(one.createdAtMs),
    ]),
  );
}

function describe(kept: KeptEvent): string {
  return formatFields([
    ['id', kept.eventHash],
    ['state', kept.state],
    ['code', kept.code],
    ['detail', kept.detail],
    ['remedy', ERROR_CODES[kept.code].remedy],
    ['connection', kept.connectionId],
    ['event', kept.eventId],
    ['source', `${kept.topic}/${kept.partition}/${kept.position}`],
    ['was to set', kept.sets === null ? 'not known' : kept.sets.join(', ')],
    ['attempts', kept.attempts],
    ['since', isoTime(kept.createdAtMs)],
    ['waits until', kept.waitUntilMs === null ? null : isoTime(kept.waitUntilMs)],
    ['tried again', kept.nextAttemptAtMs === null ? null : isoTime(kept.nextAttemptAtMs)],
  ]);
}

function anId(text: string): string {
  if (ID.test(text)) return text;
  throw new InvalidArgumentError(
    'An id of `dead-letters list` is needed, or its first characters (6 at least).',
  );
}

/** commander hands a repeated argument what came before. */
function moreIds(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), anId(text)];
}

function aState(text: string): 'waiting' | 'dead' {
  if (text === 'waiting' || text === 'dead') return text;
  throw new InvalidArgumentError('The word waiting or dead is needed.');
}

function aCode(text: string): ErrorCode {
  if (Object.hasOwn(ERROR_CODES, text)) return text as ErrorCode;
  throw new InvalidArgumentError('A code of docs/errors.md is needed.');
}
