import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createWorld, serviceEvent, startWorker } from '../../e2e/fixture.js';
import { CANARY, findCanary } from '../../harness/canary.js';
import {
  describeWithOwn,
  produce,
  readAll,
  runCli,
  startKafka,
  tmpDir,
  waitFor,
} from '../../harness/index.js';

const AT = 1_790_000_000_000;

function event(id: string, password: string, more: object = {}) {
  return Object.assign(serviceEvent({ id, name: `name-of-${id}`, password, timestampMs: AT }), more);
}

/** What is taken, what is refused for its fields, and what cannot be read; each with the canary in it. */
function lines(): { good: string[]; bad: string[] } {
  const wrongType = event('type', CANARY);
  Object.assign(wrongType.entity.connection.config, { password: { nested: CANARY } });
  const good = [event('plain', CANARY), event('second', CANARY)].map((each) => JSON.stringify(each));
  const bad = [
    JSON.stringify(wrongType),
    JSON.stringify(event('long', CANARY.repeat(6_000))),
    JSON.stringify(event('torn', CANARY)).slice(0, -20),
    `{"password": ${CANARY}}`,
    `${CANARY} and no JSON at all`,
  ];
  return { good, bad };
}

/** Every file of a folder that has, or has not, the canary in its raw bytes. */
function filesOf(dir: string): { name: string; bytes: Buffer }[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((name) => ({ name, bytes: readFileSync(name) }));
}

function expectClean(files: readonly { name: string; bytes: Buffer }[]): void {
  const found = files.map(({ name, bytes }) => [name, findCanary(bytes)] as const);
  expect(found.filter(([, encodings]) => encodings.length > 0)).toEqual([]);
}

it('a pipe leaves no value in its database, the log beside it, the vault and its output', async () => {
  const dir = tmpDir('rest');
  const { good, bad } = lines();
  const input = join(tmpDir('in'), 'in.jsonl');
  writeFileSync(input, `${[...good, ...bad].join('\n')}\n`);
  const env = {
    FERNET_KEY: 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=',
    DATABASE_URL: `sqlite:${join(dir, 'worker.sqlite')}`,
    SECRET_MANAGER: 'local',
    LOG_LEVEL: 'trace',
    NODE_OPTIONS: '--enable-source-maps',
    DEBUG: '*',
  };
  const ended = await runCli(['pipe', '--in', input, '--out', join(dir, 'out.jsonl')], { env });
  expect(ended.code).toBe(3);
  expect(findCanary(ended.stdout + ended.stderr)).toEqual([]);
  const files = filesOf(dir);
  expect(files.length).toBeGreaterThanOrEqual(3);
  // The search does see what is in these files.
  for (const name of ['worker.sqlite', 'out.jsonl'])
    expect(
      files.some((file) => file.name.endsWith(name) && file.bytes.includes('name-of-plain')),
      name,
    ).toBe(true);
  expectClean(files);
});

describeWithOwn(['kafka'], 'with a broker', () => {
  it('no value is in the segments of its own topics, nor in database, write-ahead log and vault of a running worker', async () => {
    const broker = await startKafka();
    const dir = tmpDir('rest');
    const world = await createWorld({
      brokers: broker.address,
      databaseUrl: `sqlite:${join(dir, 'worker.sqlite')}`,
      manager: 'local',
      partitions: 1,
      env: { LOG_LEVEL: 'trace', DEBUG: '*' },
    });
    const worker = startWorker(world);
    const { good, bad } = lines();
    const records = [...good, ...bad].map((value, index) => ({ key: `key-${index}`, value }));
    await produce(world.topics.created, records, { brokers: broker.address });
    await waitFor(
      async () => {
        const [secured, dead] = await Promise.all(
          [world.topics.secured, world.topics.deadLetter].map((topic) =>
            readAll(topic, { brokers: broker.address }),
          ),
        );
        return (secured?.length ?? 0) >= good.length && (dead?.length ?? 0) >= bad.length;
      },
      { what: 'all events', timeoutMs: 60_000 },
    );
    // While it runs there is a write-ahead log beside each SQLite file.
    const running = filesOf(dir);
    expect(running.map(({ name }) => name.slice(dir.length + 1))).toEqual(
      expect.arrayContaining(['worker.sqlite', 'worker.sqlite-wal', 'worker.sqlite-shm']) as string[],
    );
    expectClean(running);
    await worker.stop();
    expectClean(filesOf(dir));
    expect(findCanary(worker.stdout() + worker.stderr())).toEqual([]);

    await broker.stop();
    const segments = filesOf(broker.dataDir).filter(({ name }) => name.includes('world'));
    const of = (topic: string) => segments.filter(({ name }) => name.includes(`/${topic}-0/`));
    const all = (topic: string) => Buffer.concat(of(topic).map(({ bytes }) => bytes));
    expect(findCanary(all(world.topics.created))).not.toEqual([]);
    expect(all(world.topics.secured).includes('name-of-plain')).toBe(true);
    expect(all(world.topics.deadLetter).length).toBeGreaterThan(500);
    expectClean([...of(world.topics.secured), ...of(world.topics.deadLetter)]);
    // Group offsets, metadata: whatever else the broker wrote because of this worker.
    expectClean(filesOf(broker.dataDir).filter(({ name }) => !name.includes(`/${world.topics.created}-0/`)));
  }, 120_000);
});
