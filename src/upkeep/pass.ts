import type { ErrorCode } from '../errors.js';
import type { ElsewhereConnection, ElsewhereFilter, Ledger } from '../pipeline/ledger.js';
import type { Moved, Mover } from './mover.js';

/** Which connections a migration is about; the active manager is where they go. */
export type MigrationScope = Omit<ElsewhereFilter, 'after'>;

/** A connection that could not be moved: names, limits and codes, never values. */
export interface MoveFailure {
  readonly connectionId: string;
  readonly name: string | null;
  readonly code: ErrorCode;
  readonly detail: string;
}

export interface PassParts {
  readonly ledger: Pick<Ledger, 'elsewhere'>;
  readonly mover: Pick<Mover, 'move'>;
  readonly scope: MigrationScope;
  /** Connections worked on at the same time. */
  readonly concurrency: number;
  /** Those to leave out this time. */
  readonly skips?: (connectionId: string) => boolean;
  /** Told to stop, it still ends those under way. Default: they are given up, whole where they are. */
  readonly isPatient?: boolean;
  readonly onMoved?: (connection: ElsewhereConnection, moved: Moved) => void;
}

/** What was done with some connections. */
export interface PassResult {
  readonly moved: number;
  readonly values: number;
  readonly busy: number;
  readonly failures: readonly MoveFailure[];
}

/** The same of one page, and where the next one begins; null: this was the last. */
export interface PageResult extends PassResult {
  readonly next: string | null;
}

const PAGE = 200;
const NEVER = new AbortController().signal;

/** Takes up the next connections of the scope, each once. One that fails does not hold the others. */
export async function migratePage(parts: PassParts, after: string, signal: AbortSignal): Promise<PageResult> {
  const { ledger, mover, scope, concurrency, skips = () => false, onMoved } = parts;
  const page = await ledger.elsewhere({ ...scope, after }, PAGE);
  const counts = { moved: 0, values: 0, busy: 0 };
  const failures: MoveFailure[] = [];
  const chosen = page.filter(({ id }) => !skips(id));
  await inLanes(chosen, concurrency, signal, async (connection) => {
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

/** What was given up because of a stop has not failed. */
function stopped(moved: Moved, { aborted }: AbortSignal): Moved {
  return aborted && moved.kind === 'failed' ? { kind: 'busy' } : moved;
}

/** Every connection of the scope once, in the order of their ids. */
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

/** Ends those under way before it throws the first error. */
async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const errors: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (signal.aborted || errors.length > 0) return;
      await work(item).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
  if (errors.length > 0) throw errors[0];
}
