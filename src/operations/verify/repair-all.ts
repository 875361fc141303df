import { WorkerError } from '../../errors.js';
import type { ManagerName } from '../../terms.js';
import { isSettled, type Finding, type FindingKind } from './finding.js';
import type { Repairer, RepairWish } from './repair.js';
import type { VerifyReport } from './verify.js';

/** Tags come first: a version may be restored only if the secret is ours. */
const ORDER: readonly FindingKind[] = [
  'tags',
  'scheduled',
  'version',
  'changed',
  'replaced',
  'missing',
  'unreferenced',
  'orphan',
];
/** If at least this many secrets are looked at and all are missing, the store is probably not ours. */
const SUSPICIOUS = 3;

/** Repairs the findings one after another, as far as the wish goes, and sets the state of each. */
export async function repairAll(
  report: VerifyReport,
  repairers: ReadonlyMap<ManagerName, Repairer>,
  wish: RepairWish,
  signal: AbortSignal,
): Promise<void> {
  const elsewhere = isAllMissing(report);
  for (const kind of ORDER)
    for (const found of report.findings.filter((one) => one.kind === kind)) {
      if (signal.aborted) return;
      if (found.kind === 'missing' && elsewhere) continue;
      await repairOne(found, repairers, wish, signal);
    }
}

async function repairOne(
  found: Finding,
  repairers: ReadonlyMap<ManagerName, Repairer>,
  wish: RepairWish,
  signal: AbortSignal,
): Promise<void> {
  const repairer = found.manager === null ? undefined : repairers.get(found.manager);
  if (repairer === undefined) return;
  try {
    found.state = await repairer.repair(found, wish, signal);
  } catch (error) {
    // A transient error of the store or the database fails this finding only. Any other error ends the repair.
    if (!(error instanceof WorkerError && error.retryable)) throw error;
    found.state = 'left';
  }
}

/** Whether all secrets are missing: the region, account or vault is wrong. To record them all as lost would be wrong, too. */
function isAllMissing({ findings, checked }: VerifyReport): boolean {
  const missing = findings.filter(({ kind }) => kind === 'missing').length;
  return missing >= SUSPICIOUS && missing === checked.secrets;
}

/** Whether every secret was looked at and has the tag of this installation now. */
export function areAllTagged({ findings, skipped, interrupted }: VerifyReport): boolean {
  const { busy, inDoubt } = skipped;
  const settled = findings.every((found) => found.kind === 'tags' && isSettled(found));
  return !interrupted && busy === 0 && inDoubt === 0 && settled;
}
