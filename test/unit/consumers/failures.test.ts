import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { PartitionFailures } from '../../../consumers/failures.js';

const partition = (position = 0) => ({ key: 't|0', topic: 't', partition: 0, position }) as const;

describe('what a failing partition is said to fail with', () => {
  it('is the cause: a claim that has to run out after it is its consequence', () => {
    const failures = new PartitionFailures(pino({ level: 'silent' }));
    failures.record(partition(), 'STORE_UNAVAILABLE');
    failures.record(partition(), 'CLAIM_LOST');
    expect(failures.list()).toMatchObject([{ code: 'STORE_UNAVAILABLE', attempts: 2 }]);
    failures.record(partition(), 'DATABASE_UNAVAILABLE');
    expect(failures.list()).toMatchObject([{ code: 'DATABASE_UNAVAILABLE', attempts: 3 }]);
  });

  it('is the lost claim where there was nothing before it', () => {
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
