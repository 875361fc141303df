import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  disposeLater,
  queryDatabase,
  startCli,
  tmpDir,
  waitFor,
} from '../../harness/index.js';
import type { TestProcess } from '../../harness/start-process.js';
import { changeEvent, CONNECTION_ID, type ChangeEventOptions } from '../../components/cli/support.js';

const CLAIM_MS = 3_000;
/** Longer than a claim and the second run's own writes, shorter than the time for which a secret is in doubt. */
const LATE_MS = CLAIM_MS * 2.5;
const FIRST_MS = 1_790_000_000_000;

/** Nobody but `pipe` works on this database. */
class Machine {
  readonly #dir = tmpDir('pipe-tidies');
  readonly databaseUrl = `sqlite:${join(this.#dir, 'work.sqlite')}`;
  readonly #env: Readonly<Record<string, string>>;
  readonly aws: AwsStandin;
  #events = 0;

  private constructor(aws: AwsStandin, env: Readonly<Record<string, string>>) {
    this.aws = aws;
    this.#env = {
      FERNET_KEY: generateKey(),
      DATABASE_URL: this.databaseUrl,
      SECRET_MANAGER: 'managed-aws',
      SECRET_DELETION_GRACE_SECONDS: '0',
      AWS_ENDPOINT_URL: aws.url,
      OM_SM_REGION: AWS_REGION,
      OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
      OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
      CLAIM_MS: String(CLAIM_MS),
      STORE_TIMEOUT_MS: '500',
      INBOX_RETENTION_DAYS: '1',
      OUTBOX_RETENTION_DAYS: '1',
      ...env,
    };
  }

  static async open(env: Readonly<Record<string, string>> = {}): Promise<Machine> {
    const aws = await startAwsStandin();
    disposeLater(() => aws.close());
    return new Machine(aws, env);
  }

  /** A change event, newer than the one before. */
  event(options: ChangeEventOptions): string {
    this.#events += 1;
    const eventId = `33333333-0000-4000-8000-${String(this.#events).padStart(12, '0')}`;
    return changeEvent({ eventId, timestampMs: FIRST_MS + this.#events, ...options });
  }

  start(lines: readonly string[]): TestProcess {
    const file = join(this.#dir, `in-${this.#events}.ndjson`);
    writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
    return startCli(['pipe', '--in', file, '--out', join(this.#dir, 'out.ndjson')], this.#env);
  }

  /** Standard input, which the test writes to. */
  startEndless(): TestProcess {
    return startCli(['pipe', '--out', join(this.#dir, 'out.ndjson')], this.#env);
  }

  async run(lines: readonly string[], code = 0): Promise<void> {
    const pipe = this.start(lines);
    expect(await pipe.waitForExit(60_000), pipe.stderr()).toMatchObject({ code });
  }

  change(sql: string): void {
    const database = new Sqlite(this.databaseUrl.slice('sqlite:'.length));
    database.exec(sql);
    database.close();
  }

  query(sql: string): Promise<Record<string, unknown>[]> {
    return queryDatabase({ url: this.databaseUrl }, sql);
  }

  /** The values that readers of the store see. */
  values(): (string | null)[] {
    return this.aws
      .secrets()
      .flatMap(({ value, scheduledForDeletion }) => (scheduledForDeletion ? [] : value));
  }
}

/** `value` is on its way to the store, and lands {@link LATE_MS} later, when its pipe has long been killed. */
async function killedWhileChanging(machine: Machine, line: string): Promise<void> {
  machine.aws.fault({ kind: 'delay', operation: 'PutSecretValue', times: 1, delayMs: LATE_MS });
  const pipe = machine.start([line]);
  await waitFor(() => machine.aws.calls.some(({ operation }) => operation === 'PutSecretValue'), {
    what: 'the request',
  });
  pipe.kill('SIGKILL');
  await pipe.waitForExit();
}

const allHaveLanded = ({ aws }: Machine): boolean =>
  aws.calls.every(({ operation, applied }) => operation !== 'PutSecretValue' || applied);

const IN_DOUBT = 'SELECT state FROM stored_secret WHERE suspect_until_ms IS NOT NULL';

describe('a pipe that nobody works beside', () => {
  it('an older value that lands late is not the store’s when the pipe ends', async () => {
    const machine = await Machine.open();
    await machine.run([machine.event({ password: 'first' })]);
    const second = machine.event({ password: 'second' });
    await killedWhileChanging(machine, second);
    await machine.run([second, machine.event({ password: 'third' })]);
    await waitFor(() => allHaveLanded(machine), { what: 'the late request', timeoutMs: 30_000 });
    expect(machine.values()).toEqual(['third']);
    expect(await machine.query(IN_DOUBT)).toEqual([]);
  });

  it('does not wait for a name that the store has refused', async () => {
    const machine = await Machine.open();
    await machine.run([machine.event({ password: 'first' })]);
    machine.change(`DELETE FROM stored_secret; DELETE FROM secret_reference`);
    const [secret] = machine.aws.secrets();
    expect(secret?.tags['connection-id']).toBe(CONNECTION_ID);
    const other = machine.event({ id: '22222222-0000-4000-8000-000000000009', password: 'second' });
    const pipe = machine.start([other]);
    expect(await pipe.waitForExit(60_000)).toMatchObject({ code: 3 });
    expect(pipe.stderr()).toContain('SECRET_NOT_OWNED');
    expect(pipe.stderr()).not.toContain('waiting until no earlier request can land');
    expect(machine.values()).toEqual(['first']);
  });

  it('stops while it waits for that; the next run, of whatever input, puts the newest value back', async () => {
    const machine = await Machine.open();
    await machine.run([machine.event({ password: 'first' })]);
    const second = machine.event({ password: 'second' });
    await killedWhileChanging(machine, second);
    const stopped = machine.start([second, machine.event({ password: 'third' })]);
    await stopped.waitForLine('no earlier request can land', { timeoutMs: 30_000 });
    expect(await stopped.stop()).toMatchObject({ code: 1 });
    await waitFor(() => allHaveLanded(machine), { what: 'the late request', timeoutMs: 30_000 });
    expect(machine.values()).toEqual(['second']);
    await machine.run([]);
    expect(machine.values()).toEqual(['third']);
    expect(await machine.query(IN_DOUBT)).toEqual([]);
  });

  it('with an input that has no end: an older value that lands late is taken back meanwhile', async () => {
    const machine = await Machine.open();
    const pipe = machine.startEndless();
    pipe.write(`${machine.event({ password: 'first' })}\n`);
    await waitFor(() => machine.values().includes('first'), { what: 'the first value' });
    machine.aws.fault({ kind: 'delay', operation: 'PutSecretValue', times: 1, delayMs: LATE_MS });
    pipe.write(`${machine.event({ password: 'second' })}\n`);
    await waitFor(() => machine.values().includes('second'), { what: 'the second value, sent again' });
    pipe.write(`${machine.event({ password: 'third' })}\n`);
    await waitFor(() => machine.values().includes('third'), { what: 'the third value' });
    await waitFor(() => machine.values().includes('second'), { what: 'the late one', timeoutMs: 30_000 });
    await waitFor(() => machine.values().includes('third'), { what: 'the repair', timeoutMs: 40_000 });
    // The store has it before the row tells.
    await waitFor(async () => (await machine.query(IN_DOUBT)).length === 0, { what: 'nothing in doubt' });
    expect(await pipe.stop()).toMatchObject({ code: 1 });
  }, 120_000);

  it('deletes what is retired and past its grace', async () => {
    const machine = await Machine.open();
    await machine.run([machine.event({ password: 'first' })]);
    await machine.run([machine.event({ password: null })]);
    expect(machine.values()).toEqual([]);
    expect(await machine.query('SELECT state FROM stored_secret')).toEqual([{ state: 'deleted' }]);
  });

  it.each([
    ['managed-aws', 'secretsmanager', 'PutSecretValue', 0, 'InvalidParameterException'],
    // Its first request is to create it.
    ['managed-aws-ssm', 'ssm', 'PutParameter', 1, 'ValidationException'],
  ] as const)(
    '%s: what it began to adopt, and the store did not let it change, is not deleted after the grace',
    async (manager, service, operation, skip, name) => {
      const machine = await Machine.open({ SECRET_MANAGER: manager, SECRET_ADOPT: 'true' });
      const secretId = '/openmetadata/database/mysql-test/password';
      machine.aws.seed(service, { secretId, value: 'theirs', tags: {} });
      machine.aws.fault({ kind: 'error', name, operation, secretId, skip });
      await machine.run([machine.event({ password: 'first' })], 3);
      // The next run ends the grace, which is none.
      await machine.run([]);
      expect(machine.values()).toEqual(['theirs']);
      expect(await machine.query('SELECT state FROM stored_secret')).toEqual([{ state: 'deleted' }]);
    },
  );

  it('ends with 3 where the store has lost the recorded version: somebody has to publish it again', async () => {
    const machine = await Machine.open();
    await machine.run([machine.event({ password: 'first' })]);
    machine.aws.reset();
    machine.change('UPDATE stored_secret SET suspect_until_ms = 1');
    await machine.run([], 3);
    expect(await machine.query('SELECT code FROM dead_letter')).toEqual([{ code: 'SECRET_VERSION_GONE' }]);
  });

  it('removes rows that are past their retention', async () => {
    const machine = await Machine.open();
    await machine.run([machine.event({ password: 'first' })]);
    machine.change(
      `UPDATE inbox SET at_ms = 1;
       INSERT INTO outbox (id, stream, revision, payload, created_at_ms, sent_at_ms) VALUES ('sent', 'secured', 1, '', 1, 1)`,
    );
    await machine.run([]);
    expect(await machine.query('SELECT 1 FROM inbox UNION ALL SELECT 1 FROM outbox')).toEqual([]);
  });
});
