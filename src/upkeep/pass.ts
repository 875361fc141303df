import type { ErrorCode } from '../errors.js';
import type { ElsewhereConnection, ElsewhereFilter, Ledger } from '../pipeline/ledger.js';
import { mapLimited } from '../secrets-managers/port.js';
import type { Moved, Mover } from './mover.js';

/** The connections that a migration moves to the active manager. */
export type MigrationScope = Omit<ElsewhereFilter, 'after'>;

/** A connection that could not be moved. Holds names, limits and codes, never values. */
export interface MoveFailure {
  readonly connectionId: string;
  readonly name: string | null;
  readonly code: ErrorCode;
  readonly detail: string;
}

interface PassParts {
  readonly ledger: Pick<Ledger, 'elsewhere'>;
  readonly mover: Pick<Mover, 'move'>;
  readonly scope: MigrationScope;
  /** Connections that are moved at the same time. */
  readonly concurrency: number;
  /** Whether to skip a connection this time. */
  readonly skips?: (connectionId: string) => boolean;
  /** Whether a stop waits for the connections in progress. Default: they stay where they are, complete. */
  readonly isPatient?: boolean;
  readonly onMoved?: (connection: ElsewhereConnection, moved: Moved) => void;
}

/** The results for some connections. */
export interface PassResult {
  readonly moved: number;
  readonly values: number;
  readonly busy: number;
  readonly failures: readonly MoveFailure[];
}

/** The results of one page, and the id after which the next one begins; null: this was the last page. */
interface PageResult extends PassResult {
  readonly next: string | null;
}

const PAGE = 200;
const NEVER = new AbortController().signal;

/** Moves the next connections of the scope, each once. One that fails does not stop the others. */
export async function migratePage(parts: PassParts, after: string, signal: AbortSignal): Promise<PageResult> {
  const { ledger, mover, scope, concurrency, skips = () => false, onMoved } = parts;
  const page = await ledger.elsewhere({ ...scope, after }, PAGE);
  const counts = { moved: 0, values: 0, busy: 0 };
  const failures: MoveFailure[] = [];
  const chosen = page.filter(({ id }) => !skips(id));
  await mapLimited(chosen, concurrency, async (connection) => {
    if (signal.aborted) return;
    const moved = stopped(await mover.move(connection.id, parts.isPatient === true ? NEVER : signal), signal);
    if (moved.kind === 'moved') {
      counts.moved += 1;
      counts.values += moved.values;
    } else if (moved.kind === 'busy') counts.busy += 1;
    else if (moved.kind === 'failed') {
      const { code, detail } = moved;
      failures.push({ connectionId: connection.id, name: connection.name, code, detail });
    }
    onMoved?.(connection, moved);
  });
  const last = page.length < PAGE ? undefined : page.at(-1);
  return { ...counts, failures, next: last?.id ?? null };
}

/** A connection that was given up because of a stop has not failed. */
function stopped(moved: Moved, { aborted }: AbortSignal): Moved {
  return aborted && moved.kind === 'failed' ? { kind: 'busy' } : moved;
}

/** Moves every connection of the scope once, in the order of their ids. */
export async function migrateOnce(parts: PassParts, signal: AbortSignal): Promise<PassResult> {
  const total = { moved: 0, values: 0, busy: 0 };
  const failures: MoveFailure[] = [];
  for (let after: string | null = ''; after !== null && !signal.aborted;) {
    const page: PageResult = await migratePage(parts, after, signal);
    for (const key of ['moved', 'values', 'busy'] as const) total[key] += page[key];
    failures.push(...page.failures);
    after = page.next;
  }
  return { ...total, failures };
}
