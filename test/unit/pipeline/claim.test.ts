import { describe, expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { requireTimeFor, type Claim, ClaimGuard } from '../../../src/pipeline/claim.js';

const claim: Claim = { connectionId: 'c', owner: 'o', epoch: 1, deadlineMs: 1_000 };

describe('time on a claim', () => {
  it('more than the request may take, not as much', () => {
    expect(() => requireTimeFor(claim, 200, 799)).not.toThrow();
    for (const nowMs of [800, 999, 5_000])
      expect(() => requireTimeFor(claim, 200, nowMs)).toThrow(
        expect.objectContaining({ code: 'CLAIM_LOST' }) as Error,
      );
  });

  it.each([
    ['renewed in time', 700, { ...claim, deadlineMs: 2_000 }, 'admitted', 2_000],
    ['no longer the newest', 850, null, 'CLAIM_LOST', 1_000],
    ['plenty of time: not asked', 100, new Error('asked'), 'admitted', 1_000],
  ] as const)('%s', async (_, nowMs, renewal, outcome, deadlineMs) => {
    const holder = { claim };
    const guard = new ClaimGuard({
      gateOf: () => ({ acquire: () => Promise.resolve() }),
      ledger: {
        renew: () => (renewal instanceof Error ? Promise.reject(renewal) : Promise.resolve(renewal)),
      },
      clock: () => nowMs,
      storeTimeoutMs: 200,
    });
    const call = guard.callFor(holder, 'local', new AbortController().signal);
    const result = await call.admitWrite().then(
      () => 'admitted',
      (error: unknown) => (error instanceof WorkerError ? error.code : String(error)),
    );
    expect(result).toBe(outcome);
    expect(holder.claim.deadlineMs).toBe(deadlineMs);
  });

  it('is not prolonged where the marks count from its start', async () => {
    const guard = new ClaimGuard({
      gateOf: () => ({ acquire: () => Promise.resolve() }),
      ledger: { renew: () => Promise.resolve({ ...claim, deadlineMs: 9_000 }) },
      clock: () => 850,
      storeTimeoutMs: 200,
    });
    const call = guard.callWithin(claim, 'local', new AbortController().signal);
    await expect(call.admitWrite()).rejects.toMatchObject({ code: 'CLAIM_LOST' });
  });
});
