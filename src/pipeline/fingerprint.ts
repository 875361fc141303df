import { createHmac } from 'node:crypto';

/** Keyed, so that equal passwords are not recognised in the database, by connection and path, so that none can be moved. */
export function fingerprintOf(key: Buffer, connectionId: string, path: string, value: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([connectionId, path, value]), 'utf8')
    .digest('hex');
}
