import { WorkerError } from '../../errors.js';
import type { ManagerName } from '../../terms.js';
import { isSettled, type Finding, type FindingKind } from './finding.js';
import type { Repairer, RepairWish } from './repair.js';
import type { VerifyReport } from './verify.js';

/** Tags first: whose a secret is decides whether its version may be put back. */
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
/** Fewer secrets than this may all be gone; more that are all gone are another store than ours. */
const SUSPICIOUS = 3;

/** Repairs what is wished for, one after another; each finding says what became of it. */
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
    // What the store or the database does not allow at present harms one finding; a defect ends all.
    if (!(error instanceof WorkerError && error.retryable)) throw error;
    found.state = 'left';
  }
}

/** Not one secret is there: a wrong region, account or vault. Keeping all as lost would be a thousand false alarms. */
function isAllMissing({ findings, checked }: VerifyReport): boolean {
  const missing = findings.filter(({ kind }) => kind === 'missing').length;
  return missing >= SUSPICIOUS && missing === checked.secrets;
}

/** Whether every secret was looked at, and carries the tag of this installation now. */
export function areAllTagged({ findings, skipped, interrupted }: VerifyReport): boolean {
  const { busy, inDoubt } = skipped;
  const settled = findings.every((found) => found.kind === 'tags' && isSettled(found));
  return !interrupted && busy === 0 && inDoubt === 0 && settled;
}
