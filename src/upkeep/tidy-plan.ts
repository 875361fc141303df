import type { StoredSecretRow } from '../database/rows.js';
import type { LockedState } from '../pipeline/ledger.js';
import { providerOf } from '../secrets-managers/providers.js';
import type { ManagerName } from '../terms.js';

export interface TidyRules {
  readonly manager: ManagerName;
  /** Grace period: milliseconds from retiring a secret to deleting it. */
  readonly graceMs: number;
  /** How long a request of an ended claim may still land, milliseconds. */
  readonly lateRequestMs: number;
}

/** What the janitor has to do about one connection's stored secrets. */
export interface TidyPlan {
  /** Rows that change without a request to the store. */
  readonly rows: readonly StoredSecretRow[];
  /** Those of `rows` that are retired now: an expired claim has left them, and no field uses them. */
  readonly abandoned: readonly StoredSecretRow[];
  /** Rows in their new state `deleting`: written before the requests are sent. */
  readonly deletions: readonly StoredSecretRow[];
  /**
   * Live secrets in doubt, whose current version in the store is compared with the recorded one. Their rows get a new time
   * of doubt before the requests are sent: the repair's own request may also land after its claim.
   */
  readonly repairs: readonly StoredSecretRow[];
}

/** So many deletions fit into one claim, even if the store is slow. The next round does the rest. */
const DELETIONS_A_CLAIM = 20;

/**
 * Decides, under the connection's claim, what becomes of its stored secrets:
 *
 * - `writing`, left by an expired claim: live again if a field uses the secret id, else retired; in doubt in both cases
 * - in doubt, and no request can land any more: a live one is compared with the store, a retired one is no longer in doubt
 * - retired, after its grace period: deleted, unless a field of any connection names it (then it gets another grace period)
 * - deleting, and the request can no longer land: deleted again, because its outcome is unknown
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
      // A field names it: it stays, and is checked again after another grace period.
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

/** Whether a field names it, in a connection whose manager uses the same store. */
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
