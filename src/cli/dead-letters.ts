import { Argument, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../config.js';
import { ConfigurationError, ERROR_CODES, type ErrorCode } from '../errors.js';
import type { KeptEvent, KeptFilter } from '../database/dead-letters.js';
import { mapPage, wholePage, type Page, type PageRequest } from '../database/page.js';
import { operatorName } from '../operator.js';
import { counted } from '../plural.js';
import { EXIT, type Cli } from './cli.js';
import { command, commands, option } from './define-command.js';
import { listAnswer, PAGE_OPTIONS, pageRequest, type Answer, type PageOptions } from './output.js';
import { shortText } from './parse.js';
import { readDatabase, writeDatabase } from '../operations/open-database.js';
import { formatFields, isoTime } from './text.js';

interface FilterOptions {
  readonly state?: 'waiting' | 'dead';
  readonly code?: ErrorCode;
  readonly connection?: string;
}

interface ChangeOptions extends FilterOptions {
  readonly all?: true;
}

const ID = /^[0-9a-f]{6,64}$/;
const FILTERS = [
  new Option('--state <state>', 'in this state').choices(['waiting', 'dead']),
  new Option('--code <code>', 'with this error code: docs/errors.md').argParser(errorCode),
  option('--connection <id>', 'of this connection'),
];
const IDS = new Argument('[id...]', 'of the list; first characters will do').argParser(moreIds);
const ALL = option('--all', 'all dead letters');

const list = command<FilterOptions & PageOptions>({
  name: 'list',
  about: 'kept events, the one that is kept for longest first',
  names: 'id',
  options: [...FILTERS, ...PAGE_OPTIONS],
  examples: ['dead-letters list', 'dead-letters list --code SECRET_ID_COLLISION --output json'],
  run: async (cli, options) => {
    const page = await readKept(cli, filterOf(options), pageRequest(options));
    return listAnswer(mapPage(page, asJson), COLUMNS);
  },
});

const show = command<object, [id: string]>({
  name: 'show',
  about: 'one kept event with the reason and the remedy; never its values',
  names: 'id',
  args: [new Argument('<id>', 'of the list; its first characters will do').argParser(anId)],
  examples: ['dead-letters show 3f7a90'],
  run: async (cli, _options, id) => {
    const [one] = await readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
      const { findKept } = await import('../database/dead-letters.js');
      return (await findKept(database, { ids: [id] })).map(asJson);
    });
    return { json: one as Letter, text: () => describe(one as Letter) };
  },
});

const retry = command<ChangeOptions, [ids: readonly string[] | undefined]>({
  name: 'retry',
  about: 'have them tried again in their order, by the running worker or the next `pipe`',
  names: 'id',
  args: [IDS],
  options: [...FILTERS, ALL],
  examples: ['dead-letters retry 3f7a90', 'dead-letters retry --code TOKEN_NOT_OPENED'],
  run: async (cli, options, ids = []) => {
    const kept = await writeDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
      const { scheduleRetry } = await import('../database/dead-letters.js');
      return scheduleRetry(database, chosen(ids, options));
    });
    return changed(kept, 'to be tried again');
  },
});

const discard = command<ChangeOptions & { readonly reason?: string }, [ids: readonly string[] | undefined]>({
  name: 'discard',
  about: 'give them up for good; the audit says who did and why',
  names: 'id',
  args: [IDS],
  options: [...FILTERS, ALL, option('--reason <text>', 'why, for the audit', shortText)],
  examples: [
    'dead-letters discard 3f7a90 --reason "published again"',
    'dead-letters discard --code EVENT_BLOCKED --yes',
  ],
  isAudited: true,
  confirms: async (cli, options, ids = []) => {
    const filter = chosen(ids, options);
    if (filter.ids !== undefined) return null;
    const { total } = await readKept(cli, filter, { limit: 1, after: null });
    const are = counted(total, 'kept event');
    return total === 0 ? null : `${are} would be given up for good, and not be tried again`;
  },
  run: async (cli, options, ids = []) => {
    const config = loadConfig(cli.env, { need: [] });
    const kept = await writeDatabase(config, async (database) => {
      const letters = await import('../database/dead-letters.js');
      const audit = { actor: operatorName(config), reason: options.reason ?? null };
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

function readKept(cli: Cli, filter: KeptFilter, page: PageRequest): Promise<Page<KeptEvent>> {
  return readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { listKept } = await import('../database/dead-letters.js');
    return listKept(database, filter, page);
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

function changed(kept: readonly KeptEvent[], what: string): Answer {
  const answer = listAnswer(wholePage(kept.map(asJson)), COLUMNS, 'There is no such kept event.');
  return {
    ...answer,
    text: (look) => [answer.text(look), ...(kept.length === 0 ? [] : [`${kept.length} ${what}`])].join('\n'),
    code: kept.length > 0 ? EXIT.ok : EXIT.failed,
  };
}

type Letter = ReturnType<typeof asJson>;

function asJson(kept: KeptEvent) {
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
    createdAt: isoTime(createdAtMs),
    updatedAt: isoTime(updatedAtMs),
    waitUntil: waitUntilMs === null ? null : isoTime(waitUntilMs),
    nextAttemptAt: nextAttemptAtMs === null ? null : isoTime(nextAttemptAtMs),
  };
}

const COLUMNS = {
  ID: ({ id }: Letter) => id.slice(0, 12),
  STATE: ({ state }: Letter) => state,
  CODE: ({ code }: Letter) => code,
  CONNECTION: ({ connectionId }: Letter) => connectionId,
  EVENT: ({ eventId }: Letter) => eventId,
  SOURCE: sourceOf,
  ATTEMPTS: ({ attempts }: Letter) => attempts,
  SINCE: ({ createdAt }: Letter) => createdAt,
};

function sourceOf({ source: { topic, partition, offset } }: Letter): string {
  return `${topic}/${partition}/${offset}`;
}

function describe(letter: Letter): string {
  return formatFields([
    ['id', letter.id],
    ['state', letter.state],
    ['code', letter.code],
    ['detail', letter.detail],
    ['remedy', letter.remedy],
    ['connection', letter.connectionId],
    ['event', letter.eventId],
    ['source', sourceOf(letter)],
    ['was to set', letter.sets === null ? 'not known' : letter.sets.join(', ')],
    ['attempts', letter.attempts],
    ['since', letter.createdAt],
    ['waits until', letter.waitUntil],
    ['tried again', letter.nextAttemptAt],
  ]);
}

function errorCode(text: string): string {
  if (Object.hasOwn(ERROR_CODES, text)) return text;
  throw new InvalidArgumentError('A code of docs/errors.md is needed.');
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
