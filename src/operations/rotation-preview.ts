import type { Database } from '../database/database.js';
import type { VaultBatch } from '../secrets-managers/local/rotate.js';
import type { SecuredTokens } from './secured-tokens.js';
import { countTables, type DatabaseKeys, type PlaceCounts } from './token-counts.js';

export interface PreviewParts {
  readonly database: Database;
  readonly keys: DatabaseKeys;
  readonly ingestion: { readonly name: string };
  readonly secured: SecuredTokens;
  /** Looks at the versions of the local vault and changes none; null: there is none. */
  readonly vault: {
    readonly keys: string;
    readonly look: (onBatch: (batch: VaultBatch) => void, signal: AbortSignal) => Promise<void>;
  } | null;
}

/** What a rotation would find, place by place. Reads only. */
export async function previewRotation(
  { database, keys, ingestion, secured, vault }: PreviewParts,
  signal: AbortSignal,
): Promise<PlaceCounts[]> {
  const places = await countTables(database, keys, signal);
  if (vault !== null) {
    const counts = { current: 0, old: 0, unknown: 0 };
    await vault.look(({ rotated, current, unknown }) => {
      counts.old += rotated;
      counts.current += current;
      counts.unknown += unknown;
    }, signal);
    places.push({ place: 'local vault', keys: vault.keys, ...counts });
  }
  const out = { current: 0, old: 0, unknown: 0 };
  for (let after: string | null = ''; after !== null && !signal.aborted;) {
    const { judged, next } = await secured.page(after);
    for (const { isCurrent } of judged) out[isCurrent ? 'current' : 'old'] += 1;
    after = next;
  }
  return [...places, { place: 'connection.secured', keys: ingestion.name, ...out }];
}
