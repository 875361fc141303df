import type { Database } from '../../database/database.js';
import { findElsewhere } from '../../database/find-pending.js';
import { loadStates } from '../../database/load-state.js';
import { EventError } from '../../errors.js';
import type { ManagerSource, PlanContext } from '../../pipeline/context.js';
import type { ElsewhereConnection, LockedState } from '../../pipeline/ledger.js';
import { decideMove } from '../../pipeline/move.js';
import { carriedSecretIds } from '../../pipeline/plan.js';
import { Writer } from '../../pipeline/writer.js';
import type { ManagerName } from '../../terms.js';
import type { Progress } from '../progress.js';
import type { MigrationScope, MoveFailure } from '../../upkeep/pass.js';

/** What a migration would do with one connection. */
export interface PlannedMove {
  readonly connectionId: string;
  readonly name: string | null;
  readonly from: ManagerName;
  /** How many values would be copied. */
  readonly values: number;
  /** How many references of users stay as they are. Readers look these up in the new store then. */
  readonly external: number;
  /** Why it could not be moved; null: nothing seems to prevent it. */
  readonly problem: Pick<MoveFailure, 'code' | 'detail'> | null;
}

export interface PreviewParts {
  readonly database: Database;
  readonly context: PlanContext;
  readonly managers: ManagerSource;
  readonly scope: MigrationScope;
  readonly progress: Progress;
}

const PAGE = 100;

/** Says for each connection what a migration would do. Reads the values from their stores; writes nothing anywhere. */
export async function previewMigration(parts: PreviewParts, signal: AbortSignal): Promise<PlannedMove[]> {
  const { database, scope, progress } = parts;
  const planned: PlannedMove[] = [];
  let failed = 0;
  for (let after = ''; !signal.aborted;) {
    const page = await database.run((tx) => findElsewhere(tx, { ...scope, after }, PAGE));
    for (const connection of page) {
      if (signal.aborted) break;
      const move = await preview(connection, parts, signal);
      planned.push(move);
      if (move.problem !== null) failed += 1;
      progress.report({ done: planned.length, total: null, failed });
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    after = last.id;
  }
  return planned;
}

async function preview(
  { id, name, manager }: ElsewhereConnection,
  parts: PreviewParts,
  signal: AbortSignal,
): Promise<PlannedMove> {
  const state = await readState(id, parts);
  const external = state.references.filter(({ owned }) => !owned).length;
  const base = { connectionId: id, name, from: manager, external };
  try {
    return { ...base, ...(await examine(state, parts, signal)) };
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    return { ...base, values: 0, problem: { code: error.code, detail: error.message } };
  }
}

async function examine(
  state: LockedState,
  { context, managers }: PreviewParts,
  signal: AbortSignal,
): Promise<Pick<PlannedMove, 'values' | 'problem'>> {
  const decision = decideMove(state, context, 'preview');
  if (decision.kind !== 'write') return { values: 0, problem: null };
  const { writes } = decision.plan;
  const admitWrite = (): Promise<void> => Promise.reject(new TypeError('a preview writes nothing'));
  const read = await new Writer(context, managers).read(writes, { signal, admitWrite });
  switch (read.kind) {
    case 'read':
      decision.plan.finish({ stored: new Map(), copied: read.values });
      return { values: writes.length, problem: null };
    case 'refused':
    case 'failed':
      return { values: 0, problem: { code: read.error.code, detail: read.error.message } };
  }
}

/** The state that a claim would find. Takes no claim, and releases the row's lock at once. */
async function readState(connectionId: string, { database, context }: PreviewParts): Promise<LockedState> {
  const [state] = await database.transaction((tx) =>
    loadStates(tx, [
      {
        connectionId,
        eventHash: null,
        secretIds: (connection, references) => carriedSecretIds(connection, references, context),
        decide: () => {
          throw new TypeError('nothing is decided here');
        },
      },
    ]),
  );
  if (state === undefined) throw new TypeError(`no state of ${connectionId}`);
  return state;
}
