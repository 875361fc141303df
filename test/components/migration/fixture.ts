import { join } from 'node:path';
import type { ManagerName } from '../../../src/terms.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { AWS_CREDENTIALS, AWS_REGION, disposeLater, tmpDir } from '../../harness/index.js';
import { CONNECTION } from '../pipeline/events.js';
import { referencesOf } from '../pipeline/sent-event.js';
import { Bench, NEVER } from '../secrets/fixture.js';

/** A bench whose worker can be started again under another manager; all of them have the same places to keep values in. */
export interface MovingBench {
  readonly bench: Bench;
  readonly aws: AwsStandin;
  /** Another process under another manager. */
  startUnder(manager: ManagerName, env?: Readonly<Record<string, string>>): Promise<void>;
  /** Moves all connections, as the worker does beside the events. */
  moveAll(): Promise<string[]>;
}

export async function openMovingBench(
  manager: ManagerName,
  env: Readonly<Record<string, string>> = {},
): Promise<MovingBench> {
  const aws = await startAwsStandin();
  disposeLater(() => aws.close());
  const bench = await Bench.open({
    SECRET_MANAGER: manager,
    LOCAL_VAULT_FILE: join(tmpDir('vault'), 'vault.sqlite'),
    AWS_ENDPOINT_URL: aws.url,
    OM_SM_REGION: AWS_REGION,
    OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
    OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
    SECRET_MIGRATION: 'auto',
    ...env,
  });
  return {
    bench,
    aws,
    startUnder: (name, more = {}) => bench.restart({ ...more, SECRET_MANAGER: name }),
    moveAll: async () => {
      const results: string[] = [];
      const { ledger, mover, manager: active } = bench.worker;
      const scope = { active: active.name, from: null, connectionIds: null, after: '' };
      for (const { id } of await ledger.elsewhere(scope, 1_000)) {
        const result = await mover.move(id, NEVER);
        results.push(result.kind === 'failed' ? result.code : result.kind);
      }
      return results;
    },
  };
}

/** What the reference that was last published for a field resolves to, by whoever reads it. */
export async function resolved(
  bench: Bench,
  { id = CONNECTION, path = '/connection/config/password' } = {},
): Promise<string | null> {
  const reference = referencesOf(bench.sent(id))[path];
  if (reference === undefined) return null;
  if (reference.startsWith('fernet:'))
    return bench.worker.context.rings.ingestion.open(reference.slice('fernet:'.length));
  return bench.valueOf(reference.slice('secret:'.length));
}

/** States of stored secrets by manager and id. */
export async function storedByManager(bench: Bench): Promise<Record<string, string>> {
  const rows = await bench.query('SELECT manager, secret_id, state FROM stored_secret');
  return Object.fromEntries(
    rows.map((row) => [`${String(row['manager'])} ${String(row['secret_id'])}`, String(row['state'])]),
  );
}
