import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { generateKey, KeyRing, openSealed, sealText, unpackEnvelope } from '../../src/fernet/index.js';
import type { JsonObject, Reference, SecuredEvent } from '../../src/terms.js';
import { encodeSecuredEvent } from '../../src/events/secured-event.js';
import { cached } from '../harness/cache.js';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  awsClients,
  createTopics,
  describeWith,
  docBlock,
  freshName,
  produce,
  PROJECT_DIR,
  startBlock,
  startProcess,
  tmpDir,
} from '../harness/index.js';
import type { DocBlock } from '../harness/index.js';
import { findExecutable, runCommand } from '../harness/run-command.js';
import { securedEvent } from '../unit/ingestion/support.js';

/** From the first export on a block is about running; before it stands what is downloaded once. */
function partsOf({ text, ...block }: DocBlock): { prepare: string; run: DocBlock } {
  const cut = text.indexOf('export ');
  return { prepare: text.slice(0, cut), run: { ...block, text: text.slice(cut) } };
}

const script = (text: string): string[] => ['--norc', '-euo', 'pipefail', '-c', text];

/** What is downloaded lies in the cache, under a name that changes with what is asked for. */
async function download(language: string, file: string, prepare: string, place: string): Promise<string> {
  const wanted = readFileSync(join(PROJECT_DIR, 'examples', language, file), 'utf8');
  const version = createHash('sha256').update(wanted).digest('hex').slice(0, 12);
  return cached(`example-${language}-${version}`, async (dir) => {
    await runCommand('bash', script(prepare.replaceAll(place, dir)), { cwd: PROJECT_DIR });
  });
}

interface World {
  readonly env: Readonly<Record<string, string>>;
  /** What the entity of the last event is with its values. */
  readonly expected: JsonObject;
}

const PLACES = ['a/b~c', 'plain', 'list'] as const;

/** Two revisions of one connection with secrets in a map, in an array and at odd keys; the older one comes again. */
async function prepareWorld(
  brokers: string,
  moto: string,
  kinds: readonly ('sm' | 'ssm' | 'fernet')[],
): Promise<World> {
  const clients = awsClients(moto);
  const topic = freshName('secured');
  await createTopics([topic], { brokers });
  const key = generateKey();
  const ring = KeyRing.parse('KEY', key);
  const prefix = `/${freshName('language')}`;
  const events: SecuredEvent[] = [];
  for (const [at, kind] of kinds.entries()) {
    const values = PLACES.map((_, index) => `välue "${index}" of ${kind} ${at}`);
    const references: Reference[] = [];
    for (const [index, value] of values.entries()) {
      const name = `${prefix}/${kind}/${index}`;
      if (kind === 'sm')
        await clients.secretsManager.send(new CreateSecretCommand({ Name: name, SecretString: value }));
      if (kind === 'ssm')
        await clients.ssm.send(new PutParameterCommand({ Name: name, Value: value, Type: 'SecureString' }));
      const sealed = index === 0 ? sealText(ring, value) : sealText(ring, `secret:${prefix}/sm/${index}`);
      references.push(kind === 'fernet' ? sealed : `secret:${name}`);
    }
    const paths = [
      '/connection/config/options/a~1b~0c',
      '/connection/config/plain',
      '/connection/config/list/1/key',
    ];
    events.push(
      securedEvent({
        name: 'orders',
        revision: at + 1,
        store: { provider: kind === 'ssm' ? 'aws-ssm' : 'aws-secrets-manager', region: AWS_REGION },
        entity: entityOf(references),
        secretFields: references.map((reference, index) => ({ path: paths[index]!, reference, owned: true })),
      }),
    );
  }
  // Of a secret that is gone and of a text that no key opens there is no value; what follows must come all the same.
  const none: Reference[] = [`secret:${prefix}/gone`, sealText(KeyRing.parse('KEY', generateKey()), 'välue')];
  const unresolved = none.map((reference, at) =>
    securedEvent({
      ...{ connectionId: `unresolved-${at}`, name: `unresolved-${at}` },
      store: { provider: 'aws-secrets-manager', region: AWS_REGION },
      entity: { connection: { password: reference } },
      secretFields: [{ path: '/connection/password', reference, owned: true }],
    }),
  );
  const records = [...unresolved, ...events, events[0]!].map((event) => encodeSecuredEvent(event));
  await produce(topic, records, { brokers });
  const last = kinds.at(-1);
  const lastAt = kinds.length - 1;
  const valueOf = (index: number): string => {
    if (last !== 'fernet') return `välue "${index}" of ${last} ${lastAt}`;
    return index === 0 ? `välue "0" of fernet ${lastAt}` : `välue "${index}" of sm 0`;
  };
  return {
    expected: entityOf(PLACES.map((_, index) => valueOf(index))),
    env: {
      AWS_ENDPOINT_URL: moto,
      AWS_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
      INGESTION_FERNET_KEY: `${generateKey()},${key}`,
      TOPIC_SECURED: topic,
    },
  };
}

function entityOf([first, second, third]: readonly string[]): JsonObject {
  return {
    name: 'orders',
    connection: {
      config: { options: { 'a/b~c': first! }, plain: second!, list: ['x', { key: third! }], hostPort: 'h:1' },
    },
  };
}

function start(run: DocBlock, brokers: string, world: World, values: Readonly<Record<string, string>>) {
  return startBlock(run, {
    values: { ...values, '127.0.0.1:9092': brokers, 'eu-west-1': AWS_REGION },
    env: { ...world.env, KAFKA_GROUP_ID: freshName('language') },
  });
}

/** Skipped by name on a laptop without the tool, a failure where `CI=true`. */
function describeLanguage(tool: string, title: string, define: () => void): void {
  if (findExecutable(tool) !== undefined) define();
  else
    describe(title, () => {
      if (process.env['CI'] === 'true')
        it('has its tools', () => expect.fail(`${tool} is not installed, and CI=true`));
      else it.skip(`needs ${tool}`);
    });
}

describeLanguage('python3', 'the example in Python', () => {
  describeWith(['kafka', 'moto'], 'the example in Python', ({ kafka, moto }) => {
    it('fills every entity: both stores, sealed values and references, odd keys', async () => {
      const { prepare, run } = partsOf(docBlock('docs/ingestion.md', 'sh', 'ingest.py'));
      const venv = await download('python', 'requirements.txt', prepare, '.tmp/python');
      const world = await prepareWorld(kafka, moto, ['sm', 'ssm', 'fernet']);
      const example = start(run, kafka, world, { '.tmp/python': venv });
      for (const revision of [1, 2, 3])
        await example.waitForLine(`orders revision ${revision} has 3 secrets`, { timeoutMs: 60_000 });
      example.kill();
      expect(example.stderr()).toContain('unresolved-0 revision 1 skipped: secret:/');
      expect(example.stderr()).toContain('unresolved-1 revision 1 skipped: a sealed text');
      expect(example.stdout() + example.stderr()).not.toContain('välue');

      const check =
        'import ingest, json\nfor event, entity in ingest.connections():\n  print(event["revision"], json.dumps(entity), flush=True)';
      const checked = startProcess({
        command: join(venv, 'bin', 'python'),
        args: ['-c', check],
        cwd: join(PROJECT_DIR, 'examples', 'python'),
        env: {
          ...world.env,
          ...{ KAFKA_BROKERS: kafka, KAFKA_GROUP_ID: freshName('check'), PYTHONDONTWRITEBYTECODE: '1' },
        },
      });
      const line = await checked.waitForLine(/^3 /, { timeoutMs: 60_000 });
      expect(JSON.parse(line.slice(2))).toEqual(world.expected);

      const key = generateKey();
      const seal =
        'import seal, sys\nprint(seal.seal(seal.Fernet(sys.argv[1]), "c1", "/a", "välue"), flush=True)';
      const sealing = startProcess({
        command: join(venv, 'bin', 'python'),
        args: ['-c', seal, key],
        cwd: join(PROJECT_DIR, 'examples', 'python'),
        env: { PYTHONDONTWRITEBYTECODE: '1' },
      });
      const token = await sealing.waitForLine(/^fernet:/, { timeoutMs: 60_000 });
      expect(unpackEnvelope(openSealed(KeyRing.parse('K', key), token))).toEqual({
        ...{ connectionId: 'c1', path: '/a', value: 'välue' },
      });
    });
  });
});

const CHECK = `public class Check {
  public static void main(String[] args) throws Exception {
    Ingest.run((event, entity) -> {
      System.out.println(event.get("revision") + " " + entity);
      return event.get("revision").asInt() < 2;
    });
  }
}
`;

describeLanguage('mvn', 'the example in Java', () => {
  describeWith(['kafka', 'moto'], 'the example in Java', ({ kafka, moto }) => {
    it('fills every entity: Secrets Manager, sealed values and references, odd keys; seals a field', async () => {
      const { prepare, run } = partsOf(docBlock('docs/ingestion.md', 'sh', 'Ingest.java'));
      const libs = await download('java', 'pom.xml', prepare, '$PWD/.tmp/java');
      const world = await prepareWorld(kafka, moto, ['sm', 'fernet']);
      const example = start(run, kafka, world, { '$PWD/.tmp/java': libs });
      for (const revision of [1, 2])
        await example.waitForLine(`orders revision ${revision} has 3 secrets`, { timeoutMs: 60_000 });
      example.kill();
      expect(example.stderr()).toContain('unresolved-0 revision 1 skipped: secret:/');
      expect(example.stderr()).toContain('unresolved-1 revision 1 skipped: a sealed text');
      expect(example.stdout() + example.stderr()).not.toContain('välue');

      const classes = tmpDir('java');
      writeFileSync(join(classes, 'Check.java'), CHECK);
      const source = join(PROJECT_DIR, 'examples', 'java', 'Ingest.java');
      await runCommand('javac', ['-cp', join(libs, '*'), '-d', classes, source, join(classes, 'Check.java')]);
      const checked = startProcess({
        command: 'java',
        args: ['-Dfile.encoding=UTF-8', '-cp', [join(libs, '*'), classes].join(delimiter), 'Check'],
        env: { ...world.env, KAFKA_BROKERS: kafka, KAFKA_GROUP_ID: freshName('check'), AWS_REGION },
      });
      const line = await checked.waitForLine(/^2 /, { timeoutMs: 60_000 });
      expect(JSON.parse(line.slice(2))).toEqual(world.expected);

      const key = generateKey();
      const sealed = await runCommand(
        'bash',
        script(`printf %s välue | java -cp "${libs}/*" examples/java/Seal.java c1 /a`),
        { cwd: PROJECT_DIR, env: { ...process.env, PUBLISHER_FERNET_KEY: `${key},${generateKey()}` } },
      );
      expect(unpackEnvelope(openSealed(KeyRing.parse('K', key), sealed.trim()))).toEqual({
        ...{ connectionId: 'c1', path: '/a', value: 'välue' },
      });
    });
  });
});
