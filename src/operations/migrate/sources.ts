import { pause } from '../../pause.js';
import { endGraceOfSources, countSources, type SourceScope } from '../../database/migration-sources.js';
import type { Database } from '../../database/database.js';
import type { Janitor } from '../../upkeep/janitor.js';

export interface SourceParts {
  readonly database: Database;
  readonly janitor: Pick<Janitor, 'run'>;
  readonly scope: SourceScope;
  /** How long without a deletion it waits for names in doubt, milliseconds. */
  readonly patienceMs: number;
  readonly onDeleted: (count: number) => void;
}

const POLL_MS = 1_000;

/**
 * Deletes what former managers still have of connections that are moved and told of, without waiting for the grace. The
 * janitor does it, under each connection's claim: a name that somebody refers to stays, one in doubt goes when no request
 * can land on it any more. Returns how many are left.
 */
export async function deleteSources(parts: SourceParts, signal: AbortSignal): Promise<number> {
  const { database, janitor, scope, patienceMs, onDeleted } = parts;
  await endGraceOfSources(database, scope);
  let untilMs = performance.now() + patienceMs;
  for (;;) {
    const { deleted } = await janitor.run(signal);
    if (deleted > 0) untilMs = performance.now() + patienceMs;
    onDeleted(deleted);
    const { pending, all } = await countSources(database, scope);
    if (pending === 0 || signal.aborted || performance.now() > untilMs) return all;
    if (deleted === 0) await pause(POLL_MS, signal);
  }
}
