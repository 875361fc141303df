import type { Database } from '../database/database.js';
import { findTokens, rawToken } from '../database/tokens.js';
import { unpackRecord } from '../events/dead-letter.js';
import type { Sealer } from '../pipeline/context.js';
import { ageOf, type TokenKeys } from './token-counts.js';

const TOKEN = /fernet:(gAAAA[A-Za-z0-9_-]+={0,2})/g;

/** How many fields of waiting events and dead letters a publisher sealed with another key than the first of the list. */
export async function countPublisherTokens(
  database: Database,
  { deadLetter, publisher }: { readonly deadLetter: Sealer; readonly publisher: TokenKeys },
): Promise<number> {
  let old = 0;
  for (let after: string | null = ''; after !== null;) {
    const from: string = after;
    const page = await database.run((tx) => findTokens(tx, 'dead_letter', from));
    for (const stored of page.tokens)
      for (const token of tokensInside(rawToken(stored), deadLetter))
        if (ageOf(publisher, token) === 'old') old += 1;
    after = page.next;
  }
  return old;
}

function tokensInside(sealedRecord: string, ring: Sealer): string[] {
  try {
    const record = unpackRecord(Buffer.from(ring.open(sealedRecord), 'utf8'));
    const text = record.value?.toString('utf8') ?? '';
    return [...text.matchAll(TOKEN)].map(([, token = '']) => token);
  } catch {
    return []; // `countTables` counts the record as a token that no key opens
  }
}
