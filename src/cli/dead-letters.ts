import { Argument, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config.js';
import { ConfigurationError, ERROR_CODES, WorkerError, type ErrorCode } from '../errors.js';
import type { KeptEvent, KeptFilter } from '../database/dead-letters.js';
import { operatorName } from '../operator.js';
import { EXIT, type Cli } from './cli.js';
import { command, commands, option, type Answer } from './define-command.js';
import { wholeNumber } from './parse.js';
import { readDatabase, writeDatabase } from '../operations/open-database.js';
import { formatFields, formatTable, isoTime } from './text.js';

interface FilterOptions {
  readonly state?: 'waiting' | 'dead';
  readonly code?: ErrorCode;
  readonly connection?: string;
}

interface ChangeOptions extends FilterOptions {
  readonly all?: true;
  readonly reason?: string;
}

const EVERYTHING = Number.MAX_SAFE_INTEGER;
const ID = /^[0-9a-f]{6,64}$/;
const FILTERS = [
  option('--state <word>', 'waiting or dead', aState),
  option('--code <code>', 'with this error code (docs/errors.md)', aCode),
  option('--connection <id>', 'of this connection'),
];
const IDS = new Argument('[id...]', 'of the list; first characters will do').argParser(moreIds);
const ALL = option('--all', 'all dead letters');

const list = command<FilterOptions & { readonly limit: number }>({
  name: 'list',
  about: 'kept events, the oldest event first',
  options: [...FILTERS, option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 100)],
  examples: ['dead-letters list', 'dead-letters list --code SECRET_ID_COLLISION --json'],
  run: async (cli, options) => {
    const kept = await readKept(cli, filterOf(options), options.limit);
    return { json: kept.map(asJson), text: () => asTable(kept) };
  },
});

const show = command<object, [id: string]>({
  name: 'show',
  about: 'one kept event with the reason and the remedy; never its values',
  args: [new Argument('<id>', 'of the list; its first characters will do').argParser(anId)],
  examples: ['dead-letters show 3f7a90'],
  run: async (cli, _options, id) => {
    const one = theOnly(await readKept(cli, { ids: [id] }, 2), id);
    return { json: asJson(one), text: () => describe(one) };
  },
});

const retry = command<ChangeOptions, [ids: readonly string[] | undefined]>({
  name: 'retry',
  about: 'have them tried again in their order, by the running worker or the next `pipe`',
  args: [IDS],
  options: [...FILTERS, ALL],
  examples: ['dead-letters retry 3f7a90', 'dead-letters retry --code TOKEN_NOT_OPENED'],
  run: async (cli, options, ids = []) => {
    const kept = await writeDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
      const { scheduleRetry } = await import('../database/dead-letters.js');
      return scheduleRetry(database, chosen(ids, options), EVERYTHING);
    });
    return changed(kept, 'to be tried again');
  },
});

const discard = command<ChangeOptions, [ids: readonly string[] | undefined]>({
  name: 'discard',
  about: 'give them up for good; the audit says who did and why',
  args: [IDS],
  options: [...FILTERS, ALL, option('--reason <text>', 'why, for the audit')],
  examples: ['dead-letters discard 3f7a90 --reason "published again"'],
  run: async (cli, options, ids = []) => {
    const kept = await writeDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
      const letters = await import('../database/dead-letters.js');
      const audit = { actor: operatorName(), reason: options.reason ?? null };
      return letters.discard(database, chosen(ids, options), audit);
    });
    return changed(kept, 'discarded');
  },
});

export const deadLetters = commands(
  'dead-letters',
  'events that wait or cannot be processed: see, retry, discard',
  [list, show, retry, discard],
);

function readKept(cli: Cli, filter: KeptFilter, limit: number): Promise<readonly KeptEvent[]> {
  return readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { findKept } = await import('../database/dead-letters.js');
    return findKept(database, filter, limit);
  });
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

function changed(kept: readonly KeptEvent[], what: string): Answer {
  return {
    json: kept.map(asJson),
    text: () =>
      kept.length === 0 ? 'There is no such kept event.' : `${asTable(kept)}\n${kept.length} ${what}`,
    code: kept.length > 0 ? EXIT.ok : EXIT.failed,
  };
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
