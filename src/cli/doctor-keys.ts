import type { KeyConfig } from '../config.js';
import { refereeCheck } from '../fernet/referee.js';
import { attempt, failed, ok, warned, type CheckResult } from './doctor-check.js';

/** Every key list against an independent implementation, both ways; and which settings share FERNET_KEY. */
export async function checkKeys(keys: KeyConfig): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const ring of new Set([keys.database, keys.publisher, keys.ingestion, keys.deadLetter])) {
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
  for (const name of keys.fallbacks)
    results.push(
      warned(
        name,
        'is not set: FERNET_KEY does its work',
        'Set a key of its own, so that whoever has one can not open the rest.',
      ),
    );
  return results;
}
