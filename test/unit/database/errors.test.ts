import { describe, expect, it } from 'vitest';
import { asDatabaseError, DatabaseError, failureOf } from '../../../src/database/errors.js';

const coded = (code: string): Error => Object.assign(new Error('text'), { code });

describe('what a failed statement means', () => {
  it.each([
    ['40001', 'contention'],
    ['ER_LOCK_DEADLOCK', 'contention'],
    ['55P03', 'locked'],
    ['ER_LOCK_WAIT_TIMEOUT', 'locked'],
    ['23505', 'unique'],
    ['ER_DUP_ENTRY', 'unique'],
    ['57P01', 'transient'],
    ['53100', 'transient'],
    ['25006', 'transient'],
    ['ECONNRESET', 'transient'],
    ['PROTOCOL_CONNECTION_LOST', 'transient'],
    ['SQLITE_BUSY', 'transient'],
    ['ER_READ_ONLY_MODE', 'transient'],
    ['ER_NET_READ_INTERRUPTED', 'transient'],
    ['ER_NET_PACKET_TOO_LARGE', 'refused'],
    ['22021', 'refused'],
    ['ER_DATA_TOO_LONG', 'refused'],
    ['SQLITE_TOOBIG', 'refused'],
  ])('%s: %s', (code, failure) => {
    expect(failureOf(coded(code))).toBe(failure);
    expect(failureOf(Object.assign(new Error('outer'), { driverError: coded(code) }))).toBe(failure);
  });

  it.each([
    'Query read timeout',
    'Error: Query read timeout',
    'Connection terminated unexpectedly',
    'Cannot use a pool after calling end on the pool',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query runner already released. Cannot run queries anymore.',
    'Database connection provided by a query runner was already released, cannot continue to use its querying methods anymore.',
    'Transaction is not started yet, start transaction before committing or rolling it back.',
  ])('a driver that says without a code that it lost its server: %s', (message) => {
    expect(failureOf(new Error(message))).toBe('transient');
  });

  it('leaves with its code only', () => {
    const driver = Object.assign(new Error('INSERT MARK-a'), {
      code: '22021',
      parameters: ['MARK-b'],
      query: 'MARK-c',
    });
    const error = asDatabaseError(driver);
    expect(error).toBeInstanceOf(DatabaseError);
    expect(error.message).toBe('database: statement refused (22021)');
    expect(error.cause).toBeUndefined();
  });

  it('our own errors and defects pass through', () => {
    const own = new TypeError('defect');
    expect(asDatabaseError(own)).toBe(own);
    const refused = new DatabaseError('refused', 'x');
    expect(asDatabaseError(refused)).toBe(refused);
  });
});
