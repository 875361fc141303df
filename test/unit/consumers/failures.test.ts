import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { PartitionFailures } from '../../../consumers/failures.js';

const partition = (position = 0) => ({ key: 't|0', topic: 't', partition: 0, position }) as const;

describe('the code of a failing partition', () => {
  it('is the cause, not the CLAIM_LOST that follows until the claim expires', () => {
    const failures = new PartitionFailures(pino({ level: 'silent' }));
    failures.record(partition(), 'STORE_UNAVAILABLE');
    failures.record(partition(), 'CLAIM_LOST');
    expect(failures.list()).toMatchObject([{ code: 'STORE_UNAVAILABLE', attempts: 2 }]);
    failures.record(partition(), 'DATABASE_UNAVAILABLE');
    expect(failures.list()).toMatchObject([{ code: 'DATABASE_UNAVAILABLE', attempts: 3 }]);
  });

  it('is CLAIM_LOST if no other failure came before', () => {
    const failures = new PartitionFailures(pino({ level: 'silent' }));
    failures.record(partition(), 'CLAIM_LOST');
    expect(failures.list()).toMatchObject([{ code: 'CLAIM_LOST' }]);
    failures.clear('t|0');
    failures.record(partition(1), 'STORE_ACCESS');
    failures.clear('t|0');
    failures.record(partition(2), 'CLAIM_LOST');
    expect(failures.list()).toMatchObject([{ code: 'CLAIM_LOST', offset: 2, attempts: 1 }]);
  });
});
