import type { KeyConfig } from '../config.js';
import { refereeCheck } from '../fernet/referee.js';
import { attempt, failed, ok, warned, type CheckResult } from './doctor-check.js';

/** Compares each key list with an independent Fernet implementation, both ways, and names the settings that are unset. */
export async function checkKeys(keys: KeyConfig): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  const { database, publisher, ingestion, deadLetter } = keys;
  // A list that is derived from another one has the same keys: one check is enough.
  const lists = [database, ...(publisher === null ? [] : [publisher]), ingestion, deadLetter];
  for (const ring of lists.filter(
    (one, index) => lists.findIndex(({ name }) => name === one.name) === index,
  )) {
    results.push(
      ...(await attempt(ring.name, async () => {
        const referee = await refereeCheck(ring);
        if (!referee.ok)
          return failed(
            ring.name,
            'the npm package fernet and this program do not open each other’s tokens',
            'Report it.',
          );
        const count = ring.size === 1 ? 'one key' : `${ring.size} keys`;
        return ok(
          ring.name,
          `${count}, sealing with ${ring.primaryKeyId}; agrees with the npm package fernet both ways`,
        );
      })),
    );
  }
  if (publisher === null)
    results.push(
      warned(
        'PUBLISHER_FERNET_KEY',
        'is not set: publishers cannot seal, an event with a fernet: field is refused',
        'Set a key that only publishers and workers have, so that no password is in a topic in the clear.',
      ),
    );
  if (keys.ingestionFallsBack)
    results.push(
      warned(
        'INGESTION_FERNET_KEY',
        'is not set: FERNET_KEY does its work',
        'Set a key of its own, so that whoever has one cannot open the rest.',
      ),
    );
  return results;
}
