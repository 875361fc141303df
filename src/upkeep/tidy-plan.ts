import type { StoredSecretRow } from '../database/rows.js';
import type { LockedState } from '../pipeline/ledger.js';
import { providerOf } from '../secrets-managers/providers.js';
import type { ManagerName } from '../terms.js';

export interface TidyRules {
  readonly manager: ManagerName;
  /** After retiring, milliseconds until a secret is deleted. */
  readonly graceMs: number;
  /** How long after a claim's end one of its requests could still land, milliseconds. */
  readonly lateRequestMs: number;
}

/** What there is to do about one connection's stored secrets. */
export interface TidyPlan {
  /** Rows that change without asking the store. */
  readonly rows: readonly StoredSecretRow[];
  /** Of these, names that are retired now: a claim that ran out has left them, and no field uses them. */
  readonly abandoned: readonly StoredSecretRow[];
  /** Rows already in the state `deleting`, to be written before the requests are sent. */
  readonly deletions: readonly StoredSecretRow[];
  /**
   * Live secrets in doubt: the store's current version is to be compared with the recorded one. In doubt anew, to be
   * written before the requests are sent: the repair's own request may land after its claim, too.
   */
  readonly repairs: readonly StoredSecretRow[];
}

/** What fits into one claim, also where the store is slow; the rest is due in the next round. */
const DELETIONS_A_CLAIM = 20;

/**
 * Decides, under the connection's claim, what becomes of its stored secrets:
 *
 * - `writing`, left by a claim that ran out: live again where a field uses the name, else retired; in doubt either way
 * - in doubt, and nothing can land any more: a live one is compared with the store, a retired one may go its way
 * - retired and past its grace, in no field of any connection: deleted (in one: kept for another grace)
 * - deleting, and the request can no longer land: deleted again, since nobody knows whether it did
 */
export function planTidying(state: LockedState, rules: TidyRules): TidyPlan {
  const rows: StoredSecretRow[] = [];
  const abandoned: StoredSecretRow[] = [];
  const deletions: StoredSecretRow[] = [];
  const repairs: StoredSecretRow[] = [];
  const { nowMs, nextEpoch } = state;
  for (const row of state.stored.filter(({ manager }) => manager === rules.manager)) {
    const isInDoubt = row.suspectUntilMs !== null;
    const isSettled = row.suspectUntilMs !== null && row.suspectUntilMs <= nowMs;
    const isDue = row.dueAtMs !== null && row.dueAtMs <= nowMs;
    if (row.state === 'writing') {
      const next = leftover(row, state, rules);
      rows.push(next);
      if (next.state === 'retired') abandoned.push(next);
    } else if (row.state === 'live' && isSettled)
      repairs.push({ ...row, suspectUntilMs: nowMs + rules.lateRequestMs, updatedAtMs: nowMs });
    else if (row.state === 'retired' && isSettled)
      rows.push({ ...row, suspectUntilMs: null, updatedAtMs: nowMs });
    else if ((row.state === 'retired' || row.state === 'deleting') && isDue && !isInDoubt) {
      // Somebody's field names it: it stays, and is looked at again a grace later.
      if (isNamed(row, state)) rows.push({ ...row, dueAtMs: nowMs + rules.graceMs });
      else if (deletions.length < DELETIONS_A_CLAIM)
        deletions.push({
          ...row,
          state: 'deleting',
          epoch: nextEpoch,
          dueAtMs: nowMs + rules.lateRequestMs,
          updatedAtMs: nowMs,
        });
    }
  }
  return { rows, abandoned, deletions, repairs };
}

/** Whether some field names it, of a connection whose readers look names up in this very store. */
function isNamed({ manager, secretId }: StoredSecretRow, { namedUnder }: LockedState): boolean {
  const provider = providerOf(manager);
  return (namedUnder.get(secretId) ?? []).some((other) => providerOf(other) === provider);
}

function leftover(
  row: StoredSecretRow,
  { nowMs, nextEpoch, references, connection }: LockedState,
  rules: TidyRules,
): StoredSecretRow {
  const isUsed =
    row.manager === connection.manager && references.some(({ secretId }) => secretId === row.secretId);
  return {
    ...row,
    state: isUsed ? 'live' : 'retired',
    epoch: nextEpoch,
    suspectUntilMs: nowMs + rules.lateRequestMs,
    dueAtMs: isUsed ? null : nowMs + rules.graceMs,
    updatedAtMs: nowMs,
  };
}
