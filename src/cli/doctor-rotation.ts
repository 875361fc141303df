import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { countTables, type PlaceCounts } from '../operations/token-counts.js';
import { countPublisherTokens } from '../operations/publisher-tokens.js';
import { counted } from '../plural.js';
import { failed, ok, warned, type CheckResult } from './doctor-check.js';
import { countTokensByKey, rotationSources } from '../operations/rotation-sources.js';

const NEVER = new AbortController().signal;

/**
 * Which keys of the lists are still needed. It looks at every token in the database and opens none. Where each list has
 * only one key, it looks only at the tokens that a worker has to open.
 */
export async function checkOldKeys(
  config: Config<'keys'>,
  database: Database,
): Promise<readonly CheckResult[]> {
  const { keys } = config;
  const rings = [...new Set([keys.database, keys.deadLetter, keys.ingestion])];
  if (rings.every(({ size }) => size === 1) && (keys.publisher?.size ?? 1) === 1) {
    const places = await countTables(database, keys, NEVER, ['secret_reference', 'dead_letter', 'setting']);
    return [...unknownTokens(places), ...formerTokens(places)];
  }
  const places = await countTokensByKey(await rotationSources(config, database), NEVER);
  const lists = new Set(rings.filter(({ size }) => size > 1).map(({ name }) => name));
  const results = [...lists].map((name) =>
    judge(
      name,
      places.filter(({ keys: list }) => list === name),
    ),
  );
  return [
    ...unknownTokens(places),
    ...formerTokens(places.filter(({ keys: list }) => !lists.has(list))),
    ...results,
    ...(await publisherKeys(config, database)),
  ];
}

/** Dead letters and waiting events whose key is in no list any more but still known: of 0.1, or from before the setting. */
function formerTokens(places: readonly PlaceCounts[]): CheckResult[] {
  return places
    .filter(({ place, old }) => place === 'dead_letter' && old > 0)
    .map(({ place, old }) =>
      warned(
        place,
        `${counted(old, 'kept event')} sealed as before`,
        'Run `connection-secrets rotate-keys`.',
      ),
    );
}

function judge(name: string, places: readonly PlaceCounts[]): CheckResult {
  const needing = places.filter(({ old }) => old > 0);
  const check = `${name}, old keys`;
  if (needing.length === 0)
    return ok(check, `nothing needs them: ${name} can be reduced to its first key, on every worker`);
  return warned(
    check,
    `still needed by ${needing.map(({ place, old }) => `${old} of ${place}`).join(', ')}`,
    'Run `connection-secrets rotate-keys` once every worker has the new key first in its list.',
  );
}

function unknownTokens(places: readonly PlaceCounts[]): CheckResult[] {
  return places
    .filter(({ unknown }) => unknown > 0)
    .map(({ place, keys, unknown }) => {
      const remedy = `Add the key that made them to ${keys}; then run \`connection-secrets rotate-keys\`.`;
      const detail = `${counted(unknown, 'token')} that no key of ${keys} opens`;
      // Published rows of the outbox are only there to look back at.
      return place === 'outbox'
        ? warned(place, detail, remedy)
        : failed(place, detail, remedy, 'KEY_MISMATCH');
    });
}

/** What publishers sealed is in the source topics, where nobody can seal it anew, and in dead letters and waiting events. */
async function publisherKeys({ keys }: Config<'keys'>, database: Database): Promise<CheckResult[]> {
  const { publisher } = keys;
  if (publisher === null || publisher.size === 1) return [];
  const old = await countPublisherTokens(database, { deadLetter: keys.deadLetter, publisher });
  const check = `${publisher.name}, what publishers sealed`;
  if (old > 0)
    return [
      warned(
        check,
        `${counted(old, 'field')} of kept events sealed with an old key`,
        'Retry or discard those events first (`connection-secrets dead-letters list`).',
      ),
    ];
  return [
    ok(
      check,
      'no kept event needs an old key; events in the source topics may, until their retention is over',
    ),
  ];
}
