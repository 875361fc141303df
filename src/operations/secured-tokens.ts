import type { Database } from '../database/database.js';
import type { OutboxRow } from '../database/rows.js';
import {
  countTokenHolders,
  findTokenHolders,
  readIngestionKey,
  type LastSecured,
} from '../database/secured-state.js';
import { FERNET_PREFIX } from '../terms.js';
import type { Sealer } from '../pipeline/context.js';
import { outgoingRecord } from '../pipeline/outbox.js';
import type { TokenKeys } from './token-counts.js';

const PAGE_SIZE = 100;

/** The key list for the tokens in secured events. */
interface IngestionKeys extends TokenKeys {
  readonly size: number;
  /** Id of the key that seals. */
  readonly primaryKeyId: string;
}

interface SecuredTokensParts {
  readonly database: Database;
  /** Opens the outbox. */
  readonly ring: Sealer;
  readonly ingestion: IngestionKeys;
  /** `SECURED_REFERENCES=sealed`. */
  readonly withReferences: boolean;
}

interface JudgedPage {
  readonly judged: readonly { readonly last: LastSecured; readonly isCurrent: boolean }[];
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null;
}

/**
 * Tells for each connection whether the first key of INGESTION_FERNET_KEY alone opens its last record in
 * `connection.secured`. The connection's row names the key. If an earlier version published last, it looks at the tokens of
 * the record while the outbox still has it. After that, it compares the key of the last finished rotation. If no rotation
 * has finished yet, a list of a single key counts as current.
 */
export class SecuredTokens {
  readonly #parts: SecuredTokensParts;

  constructor(parts: SecuredTokensParts) {
    this.#parts = parts;
  }

  /** How many connections {@link page} has after a position. */
  count(after: string): Promise<number> {
    const { database, withReferences } = this.#parts;
    return database.run((tx) => countTokenHolders(tx, { after, withReferences }));
  }

  async page(after: string): Promise<JudgedPage> {
    const { database, withReferences, ingestion } = this.#parts;
    const { holders, endedUnder } = await database.run(async (tx) => ({
      holders: await findTokenHolders(tx, { after, limit: PAGE_SIZE, withReferences }),
      endedUnder: await readIngestionKey(tx),
    }));
    const byDefault = endedUnder === null ? ingestion.size === 1 : endedUnder === ingestion.primaryKeyId;
    return {
      judged: holders.map((last) => ({ last, isCurrent: this.isCurrent(last) ?? byDefault })),
      next: holders.length < PAGE_SIZE ? null : (holders.at(-1)?.connectionId ?? null),
    };
  }

  /** Null where nothing tells it any more. */
  isCurrent({ keyId, record }: LastSecured): boolean | null {
    const { ingestion, ring } = this.#parts;
    if (keyId !== null) return keyId === ingestion.primaryKeyId;
    const tokens = record === null ? null : tokensOf(record, ring);
    return tokens === null ? null : tokens.every((token) => ingestion.indexOf(token) === 0);
  }
}

interface SecuredData {
  readonly secretFields?: readonly { readonly reference?: unknown }[];
}

/** The raw tokens in a secured event, structured or binary; null if it cannot be read. */
function tokensOf(row: OutboxRow, ring: Sealer): string[] | null {
  try {
    const { value } = outgoingRecord(row, ring);
    const event = JSON.parse(value?.toString('utf8') ?? '{}') as SecuredData & {
      readonly data?: SecuredData;
    };
    return ((event.data ?? event).secretFields ?? []).flatMap(({ reference }) =>
      typeof reference === 'string' && reference.startsWith(FERNET_PREFIX)
        ? [reference.slice(FERNET_PREFIX.length)]
        : [],
    );
  } catch {
    return null;
  }
}
