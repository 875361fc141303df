import { queryDatabase } from '../../harness/index.js';
import { offsetsOf } from './gather.js';
import type { CheckInput } from './types.js';

const COUNTS: Readonly<Record<string, string>> = {
  'records not published': 'SELECT COUNT(*) AS n FROM outbox WHERE sent_at_ms IS NULL',
  'events waiting': `SELECT COUNT(*) AS n FROM dead_letter WHERE state = 'waiting' OR next_attempt_at_ms IS NOT NULL`,
  'names being written': `SELECT COUNT(*) AS n FROM stored_secret WHERE state = 'writing'`,
  'names in doubt': 'SELECT COUNT(*) AS n FROM stored_secret WHERE suspect_until_ms IS NOT NULL',
};

/**
 * What is still going on; nothing: the invariants may be checked. Use it with `waitFor` while a worker runs: names in
 * doubt are looked after by its janitor when the longest request time (20 s by default) has passed.
 *
 * @param except events that wait on purpose
 */
export async function unsettled(
  input: Pick<CheckInput, 'databaseUrl' | 'sources'>,
  except: readonly (keyof typeof COUNTS)[] = [],
): Promise<string[]> {
  const open: string[] = [];
  for (const { topic, partition, end, committed } of await offsetsOf(input))
    if (committed < end) open.push(`${topic}/${partition}: ${end - committed} records not read`);
  for (const [what, sql] of Object.entries(COUNTS)) {
    if (except.includes(what)) continue;
    const [row] = await queryDatabase({ url: input.databaseUrl }, sql);
    if (Number(row?.['n']) > 0) open.push(`${Number(row?.['n'])} ${what}`);
  }
  return open;
}
