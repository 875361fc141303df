import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openWorker } from '../../../src/worker/worker.js';
import { loadConfig } from '../../../src/config.js';
import { decodeRecord } from '../../../src/events/decode.js';
import { createResolver } from '../../../src/ingestion/index.js';
import { decideEvent } from '../../../src/pipeline/plan.js';
import { prepareEvent } from '../../../src/pipeline/prepare.js';
import { createPublisher } from '../../../src/publisher/index.js';
import { SecretValue } from '../../../src/secret-value.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { createDatabase, disposeLater, tmpDir } from '../../harness/index.js';
import { eventRecord } from '../pipeline/events.js';
import { FakeOutlet, FakeTopics } from '../pipeline/fake-outlet.js';
import { newState } from '../../fuzz/contexts.js';

const CANARY = 'canaryzq-object';
const KEY = 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=';
const KEY_BYTES = Buffer.from(KEY, 'base64');
const SPELLINGS = [
  CANARY,
  Buffer.from(CANARY).toString('base64').slice(0, 16),
  bytesOf(Buffer.from(CANARY)),
  KEY.slice(0, 20),
  bytesOf(KEY_BYTES),
];

/** As `inspect` prints the bytes of a buffer. */
function bytesOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/../g, '$& ').trim().slice(0, 40);
}

/** All that somebody's logger, debugger or crash report may make of an object. */
function printed(object: unknown): string {
  const all = {
    depth: Infinity,
    showHidden: true,
    getters: true,
    maxArrayLength: null,
    maxStringLength: null,
  };
  const error = new Error('x', { cause: object });
  const several = new AggregateError([object], 'x');
  return [
    inspect(object, all),
    inspect({ nested: [object] }, all),
    inspect(new Map([[object, object]]), all),
    inspect(error, all),
    inspect(several, all),
    String(object),
    stringified(object),
    Object.prototype.toString.call(object),
  ].join('\n');
}

function stringified(object: unknown): string {
  try {
    return (
      JSON.stringify({ object }) + inspect(structuredClone(object), { depth: Infinity, showHidden: true })
    );
  } catch {
    return ''; // it cannot be cloned or is a ring: nothing comes out
  }
}

function expectQuiet(object: unknown): void {
  const text = printed(object);
  expect(SPELLINGS.filter((spelling) => text.includes(spelling))).toEqual([]);
}

async function open(manager: string, url: string) {
  // A worker is not opened before its store says who works on it.
  const standin = await startAwsStandin();
  disposeLater(() => standin.close());
  const config = loadConfig(
    {
      FERNET_KEY: KEY,
      DATABASE_URL: url,
      SECRET_MANAGER: manager,
      LOCAL_VAULT_FILE: `${tmpDir()}/vault`,
      OM_SM_REGION: 'eu-west-1',
      OM_SM_ACCESS_KEY_ID: 'AKIA',
      OM_SM_ACCESS_KEY: CANARY,
      AWS_ENDPOINT_URL: standin.url,
    },
    { need: ['keys'] },
  );
  const observer = { handled: () => undefined, failed: () => undefined };
  const outlet = new FakeOutlet(new FakeTopics());
  return { config, worker: await openWorker(config, { kafkaCluster: null, outlet, observer }) };
}

describe('printed, an object shows none of what it holds', () => {
  it.each(['managed-aws', 'managed-aws-ssm', 'local', 'in-memory', 'db'])(
    'the configuration, the worker with all its parts, an event and its plan (%s)',
    async (manager) => {
      const { config, worker } = await open(manager, (await createDatabase('sqlite')).url);
      try {
        expectQuiet(config);
        expectQuiet(worker);
        const record = eventRecord({ password: CANARY });
        const decoded = decodeRecord(record, config.topics, Date.now() + 1e12);
        if (decoded.kind !== 'event') throw new Error(decoded.kind);
        const prepared = prepareEvent(decoded.event, record, worker.context);
        const decision = decideEvent(prepared, newState(decoded.event.connectionId), worker.context);
        expect(inspect(prepared)).toBe(`[event ${prepared.eventHash}]`);
        // A clone is a copy of everything by definition, so it is not asked for one.
        for (const shown of [
          inspect(prepared, { depth: Infinity, showHidden: true }),
          JSON.stringify({ prepared }),
        ])
          expect(shown).not.toContain(CANARY);
        expectQuiet(decision);
      } finally {
        await worker.close();
      }
    },
  );

  it('a value, a resolver and a publisher', async () => {
    const value = new SecretValue(CANARY);
    expectQuiet(value);
    expect(String(value)).toBe('[secret]');
    const settings = { OM_SM_REGION: 'x', OM_SM_ACCESS_KEY_ID: 'AKIA', OM_SM_ACCESS_KEY: value };
    const resolver = createResolver({ fernetKeys: KEY, settings });
    const kafka = {
      brokers: ['127.0.0.1:1'],
      sasl: { mechanism: 'plain', username: 'u', password: value },
    } as const;
    const publisher = createPublisher({ fernetKeys: KEY, kafka });
    expectQuiet(resolver);
    expectQuiet(publisher);
    await resolver.close();
    await publisher.close();
  });
});
