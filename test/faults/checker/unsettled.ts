import { queryDatabase, UNSENT } from '../../harness/index.js';
import { offsetsOf } from './gather.js';
import { account } from './judge-counts.js';
import { inboxRow, missed } from './read-database.js';
import type { CheckInput } from './types.js';

/** What the database counts of each. */
const COUNTS = {
  'records not published': `SELECT COUNT(*) FROM (${UNSENT}) AS unsent`,
  'events waiting': `SELECT COUNT(*) FROM dead_letter WHERE state = 'waiting' OR next_attempt_at_ms IS NOT NULL`,
  'names being written': `SELECT COUNT(*) FROM stored_secret WHERE state = 'writing'`,
  'names in doubt': 'SELECT COUNT(*) FROM stored_secret WHERE suspect_until_ms IS NOT NULL',
} as const;
type Counted = keyof typeof COUNTS;

/** One statement: whoever waits asks it again and again, each time over a connection of its own. */
const COUNT_ALL = `SELECT ${Object.values(COUNTS)
  .map((sql, at) => `(${sql}) AS n${at}`)
  .join(', ')}`;

/**
 * What is still going on; nothing: the invariants may be checked. Use it with `waitFor` while a worker runs: names in
 * doubt are looked after by its janitor when the longest request time (20 s by default) has passed.
 *
 * @param except events that wait on purpose
 */
export async function unsettled(
  input: Pick<CheckInput, 'databaseUrl' | 'sources'>,
  except: readonly Counted[] = [],
): Promise<string[]> {
  const [row] = await queryDatabase({ url: input.databaseUrl }, COUNT_ALL);
  const counted = (Object.keys(COUNTS) as Counted[])
    .map((what, at) => ({ what, count: Number(row?.[`n${at}`]) }))
    .filter(({ what, count }) => count > 0 && !except.includes(what))
    .map(({ what, count }) => `${count} ${what}`);
  const unread = (await offsetsOf(input))
    .filter(({ committed, end }) => committed < end)
    .map(
      ({ topic, partition, end, committed }) => `${topic}/${partition}: ${end - committed} records not read`,
    );
  return [...unread, ...counted];
}

/** Events of which nothing became although their records are gone, and of which no gap is told yet. */
export async function untold({
  published,
  databaseUrl: url,
}: Pick<CheckInput, 'databaseUrl' | 'published'>): Promise<string[]> {
  const deleted = published.filter((event) => event.deleted !== undefined);
  if (deleted.length === 0) return [];
  const misses = await queryDatabase({ url }, `SELECT action, detail FROM audit WHERE action = 'miss'`);
  const inbox = await queryDatabase(
    { url },
    'SELECT event_hash, connection_id, event_id, outcome FROM inbox',
  );
  const evidence = { missed: misses.flatMap(missed), inbox: inbox.map(inboxRow) };
  const count = account(deleted, evidence).get('lost') ?? 0;
  return count === 0 ? [] : [`${count} records deleted unread and not told`];
}
