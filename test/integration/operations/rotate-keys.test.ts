import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { KeyRing } from '../../../src/fernet/index.js';
import { createDatabase, describeWith, tmpDir, type DatabaseEngine } from '../../harness/index.js';
import { eventRecord, MASKED, OTHER } from '../../components/pipeline/events.js';
import { Bench } from '../../components/secrets/fixture.js';
import {
  BOTH,
  NEW,
  NEW_ALONE,
  NEW_DEAD,
  OLD_ALONE,
  placesOf,
  Rotations,
} from '../../components/operations/rotation.js';

const timeOf = (token: string): string => Buffer.from(token, 'base64url').subarray(1, 9).toString('hex');
/** Two connections, a waiting event and a dead letter, all under the old keys; with the vault's mark of who works on it. */
async function fill(bench: Bench): Promise<void> {
  await bench.handle(eventRecord({ password: 'MARK-one', at: 1 }));
  await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-two', at: 1 }));
  await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-three', at: 2 }));
  await bench.handle(eventRecord({ id: `${OTHER}-m`, name: 'masked', password: MASKED, at: 1 }));
  await bench.handle(eventRecord({ id: `${OTHER}-d`, name: 'dead', password: 17, at: 1 }));
}

function rotationOn(engine: DatabaseEngine): void {
  let rotations: Rotations;
  let bench: Bench;
  beforeEach(async () => {
    const { url } = await createDatabase(engine);
    const env = { SECRET_MANAGER: 'local', LOCAL_VAULT_FILE: join(tmpDir('vault'), 'v.vault') };
    bench = await Bench.open({ DATABASE_URL: url, ...env, ...OLD_ALONE });
    await fill(bench);
    rotations = new Rotations(bench, env);
  });

  it('seals everything anew under the same time, changes nothing else, and lets a worker start with the new keys alone', async () => {
    await bench.close();
    const [before, rest] = [await rotations.tokens(), await rotations.rest()];
    const preview = await rotations.run(BOTH, '--dry-run');
    expect(preview.code).toBe(0);
    expect(placesOf(preview.report)).toMatchObject({
      secret_reference: { current: 0, old: 2, unknown: 0 },
      dead_letter: { keys: 'DEAD_LETTER_FERNET_KEY', current: 0, old: 2, unknown: 0 },
      outbox: { current: 0, old: 1, unknown: 0 },
      'local vault': { current: 0, old: 4, unknown: 0 },
      setting: { current: 0, old: 2, unknown: 0 },
    });
    expect(await rotations.tokens()).toEqual(before);
    expect(await rotations.doctor(BOTH)).toContainEqual(
      expect.objectContaining({ check: 'FERNET_KEY, old keys', result: 'warning' }),
    );

    const { code, report } = await rotations.run(BOTH);
    expect(placesOf(report)).toMatchObject({
      secret_reference: { rotated: 2, current: 2, old: 0, unknown: 0 },
      dead_letter: { rotated: 2, current: 2, old: 0, unknown: 0 },
      outbox: { rotated: 1, current: 1, old: 0, unknown: 0 },
      'local vault': { rotated: 4, current: 4, old: 0, unknown: 0 },
      'connection.secured': { rotated: 0, old: 0 },
      setting: { rotated: 2, current: 2, old: 0, unknown: 0 },
    });
    expect({ code, complete: report?.complete }).toEqual({ code: 0, complete: true });
    expect(await rotations.rest()).toBe(rest);
    const after = await rotations.tokens();
    const times = (tokens: typeof before) => tokens.map(({ token }) => timeOf(token)).sort();
    expect(times(after)).toEqual(times(before));
    const database = KeyRing.parse('k', NEW);
    const rings = { dead_letter: KeyRing.parse('k', NEW_DEAD), outbox: database.derive('outbox') };
    for (const { table, token } of after)
      expect((rings[table as keyof typeof rings] ?? database).opens(token)).toBe(true);
    expect(await rotations.doctor(BOTH)).toContainEqual(
      expect.objectContaining({ check: 'FERNET_KEY, old keys', result: 'ok' }),
    );
    expect(await rotations.run(BOTH)).toMatchObject({ code: 0, report: { rotated: 0 } });

    await bench.restart(NEW_ALONE);
    await bench.handle(eventRecord({ password: 'MARK-one', at: 5 }));
    expect(bench.last).toMatchObject({ outcome: 'applied', writes: 0 });
    await bench.handle(eventRecord({ id: `${OTHER}-m`, name: 'masked', password: 'MARK-m', at: 0 }));
    await bench.worker.pipeline.retryKept(new AbortController().signal);
    expect(await bench.valueOf('/openmetadata/database/masked/password')).toBe('MARK-m');
    expect(await bench.valueOf('/openmetadata/database/other/password')).toBe('MARK-three');
  });

  it('counts tokens that no key opens by table, leaves them alone and ends with 1, until the list is right', async () => {
    await bench.close();
    const before = (await rotations.tokens()).filter(({ table }) => table === 'dead_letter');
    const wrong = { ...BOTH, DEAD_LETTER_FERNET_KEY: NEW_DEAD };
    const { code, report } = await rotations.run(wrong);
    expect(code).toBe(1);
    expect(placesOf(report)).toMatchObject({
      secret_reference: { old: 0, unknown: 0 },
      dead_letter: { rotated: 0, unknown: 2 },
    });
    expect((await rotations.tokens()).filter(({ table }) => table === 'dead_letter')).toEqual(before);
    expect(await rotations.doctor(wrong)).toContainEqual(
      expect.objectContaining({ check: 'dead_letter', result: 'failed' }),
    );
    expect(await rotations.run(BOTH)).toMatchObject({ code: 0, report: { rotated: 2, complete: true } });
  });

  it('is refused without the old key, and changes nothing', async () => {
    await bench.close();
    const before = await rotations.tokens();
    const result = await rotations.run(NEW_ALONE);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain('KEY_MISMATCH');
    expect(await rotations.tokens()).toEqual(before);
  });
}

describe('rotate-keys on SQLite', () => {
  rotationOn('sqlite');
});
describeWith(['postgres'], 'rotate-keys on PostgreSQL', () => {
  rotationOn('postgres');
});
describeWith(['mariadb'], 'rotate-keys on MariaDB', () => {
  rotationOn('mariadb');
});
