import { describe, expect, it } from 'vitest';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
  sourceRecord,
} from '../pipeline/events.js';
import { configOf, referencesOf } from '../pipeline/sent-event.js';
import { inStore, openAwsBench } from '../operations/aws-bench.js';
import { Bench } from './fixture.js';

const idOf = (...keys: string[]): string => PASSWORD_ID.replace('/password', `/${keys.join('/')}`);
const RENAMED_ID = PASSWORD_ID.replace('mysql-test', 'renamed');
const config = (bench: Bench, id = CONNECTION): Record<string, unknown> => configOf(bench.sent(id));

/** What users of OpenMetadata's secrets manager asked for, or were hurt by: one test each. */
describe('problems of users', () => {
  it('secrets in arrays are left in the clear', async () => {
    const bench = await Bench.open();
    const servers = [
      { name: 'Search', url: 'a', apiKey: 'MARK-1' },
      { name: 'docs', url: 'b', apiKey: 'MARK-2' },
    ];
    const args = ['--user', 'me', '--password', 'MARK-3'];
    await bench.handle(eventRecord({ serviceType: 'Mcp', config: { servers, args } }));
    const head = PASSWORD_ID.replace('/database/', '/mcp/').replace('/password', '');
    expect(Object.values(referencesOf(bench.sent(CONNECTION)))).toEqual(
      expect.arrayContaining([
        `secret:${head}/servers/search/apikey`,
        `secret:${head}/servers/docs/apikey`,
        `secret:${head}/args/3`,
      ]),
    );
    await bench.expectNowhereElse('MARK-');
  });

  it('secrets in maps are left in the clear', async () => {
    const bench = await Bench.open();
    const maps = {
      connectionOptions: { password: 'MARK-1', timeout: '30' },
      connectionArguments: { url: 'postgresql://u:MARK-2@h/db', 'sasl.jaas.config': 'MARK-3' },
      headers: { Authorization: 'MARK-4', 'X-Api-Key': 'MARK-5', Accept: 'text/html' },
    };
    await bench.handle(eventRecord({ config: maps }));
    expect(bench.last).toMatchObject({ outcome: 'applied', secretFields: 5 });
    expect(config(bench)).toMatchObject({
      connectionOptions: { timeout: '30' },
      headers: { Accept: 'text/html' },
    });
    await bench.expectNowhereElse('MARK-');
  });

  it('connectors that the schemas do not know keep their secrets in the clear', async () => {
    const bench = await Bench.open();
    await bench.handle(
      eventRecord({ serviceType: 'BoughtLastWeek', config: { auth: { clientSecret: 'MARK-1' } } }),
    );
    expect(config(bench)).toMatchObject({ auth: { clientSecret: `secret:${idOf('auth', 'clientsecret')}` } });
    await bench.expectNowhereElse('MARK-');
  });

  it('a saved mask replaces the password', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: MASKED, at: 2 }));
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
    await bench.handle(eventRecord({ id: OTHER, name: 'other', password: MASKED, at: 3 }));
    expect(bench.last).toMatchObject({ outcome: 'waiting', code: 'MASK_WITHOUT_ORIGINAL' });
    expect(bench.puts.map(({ value }) => value)).not.toContain(MASKED);
    expect(bench.sent(OTHER)).toBeUndefined();
  });

  it('a saved mask takes the secret of its neighbour in an array', async () => {
    const bench = await Bench.open();
    const servers = (...list: [url: string, apiKey: string][]) => ({
      serviceType: 'Mcp',
      config: { servers: list.map(([url, apiKey]) => ({ url, apiKey })) },
    });
    await bench.handle(eventRecord({ ...servers(['a', 'MARK-a'], ['b', 'MARK-b']), at: 1 }));
    await bench.handle(eventRecord({ ...servers(['b', MASKED]), at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'MASK_POSITION_CHANGED' });
  });

  it('a cleared password is stored as the word null', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: 'null', at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_IS_THE_WORD_NULL' });
    await bench.handle(eventRecord({ password: null, at: 3 }));
    expect(config(bench)['password']).toBeNull();
    expect(bench.puts.map(({ value }) => value)).toEqual(['MARK-a']);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
  });

  it('names that differ by a sign share one secret', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ name: 'My Svc', password: 'MARK-a' }));
    await bench.handle(eventRecord({ id: OTHER, name: 'my_svc', password: 'MARK-b' }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_COLLISION' });
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain(CONNECTION);
    expect(row?.['detail']).toContain(OTHER);
    expect(await bench.valueOf(PASSWORD_ID.replace('mysql-test', 'my_svc'))).toBe('MARK-a');
    await bench.expectNowhereElse('MARK-');
  });

  it('pipelines of the same name share one secret', async () => {
    const bench = await Bench.open();
    const pipeline = (id: string, service: string, token: string) =>
      sourceRecord({
        ...changeEvent({ id }),
        entityType: 'ingestionPipeline',
        entity: {
          id,
          name: 'dbt',
          fullyQualifiedName: `${service}.dbt`,
          sourceConfig: { config: { dbtConfigSource: { dbtCloudAuthToken: token } } },
        },
      });
    await bench.handle(pipeline(CONNECTION, 'one', 'MARK-a'));
    await bench.handle(pipeline(OTHER, 'two', 'MARK-b'));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_COLLISION' });
    expect(bench.puts.map(({ value }) => value)).toEqual(['MARK-a']);
  });

  it('the server connection of all pipelines is one secret', async () => {
    const bench = await Bench.open();
    for (const id of [CONNECTION, OTHER])
      await bench.handle(
        sourceRecord({
          ...changeEvent({ id }),
          entityType: 'ingestionPipeline',
          entity: {
            id,
            name: `p-${id}`,
            openMetadataServerConnection: { securityConfig: { jwtToken: `MARK-${id}` } },
          },
        }),
      );
    const idOfPipeline = (id: string): string =>
      `/openmetadata/pipeline/p-${id}/openmetadataserverconnection/securityconfig/jwttoken`;
    expect(bench.puts).toEqual(
      [CONNECTION, OTHER].map((id) => ({ secretId: idOfPipeline(id), value: `MARK-${id}` })),
    );
  });

  it('secrets are left behind after a deletion', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(
      eventRecord({ password: 'MARK-a', config: { sslConfig: { sslKey: 'MARK-b' } }, at: 1 }),
    );
    expect(aws.secrets()).toHaveLength(2);
    await bench.handle(deletion(2));
    await bench.endGrace();
    await bench.tidy();
    expect(aws.secrets()).toEqual([]);
  });

  it('secrets are left behind after a rename', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }));
    await bench.endGrace();
    await bench.tidy();
    expect(aws.secrets().map(({ secretId, value }) => [secretId, value])).toEqual([[RENAMED_ID, 'MARK-a']]);
  });

  it('secrets are left behind when the kind of authentication changes', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ config: { authType: { password: 'MARK-a' } }, at: 1 }));
    const awsConfig = { awsSecretAccessKey: 'MARK-b' };
    await bench.handle(eventRecord({ config: { authType: { awsConfig } }, at: 2 }));
    await bench.endGrace();
    await bench.tidy();
    expect(aws.secrets().map(({ value }) => value)).toEqual(['MARK-b']);
  });

  it('secrets of other owners are overwritten', async () => {
    const { bench, aws } = await openAwsBench('managed-aws');
    aws.seed('secretsmanager', { secretId: PASSWORD_ID, value: 'theirs', tags: { team: 'x' } });
    await bench.handle(eventRecord({ password: 'MARK-a' }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    expect(inStore(aws, PASSWORD_ID)).toMatchObject({ value: 'theirs', tags: { team: 'x' } });
  });

  it('secrets of other owners are sent to a host of one’s own, by a reference to them', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a' }));
    const config = { hostPort: 'evil.example:3306' };
    await bench.handle(eventRecord({ id: OTHER, name: 'mine', config, password: `secret:${PASSWORD_ID}` }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    expect(bench.sent(OTHER)).toBeUndefined();
  });

  it.each([
    ['GetSecretValue', { name: 'renamed' }],
    ['PutSecretValue', { name: 'mysql-test', password: 'MARK-b' }],
  ] as const)('a secret that cannot be read is taken for absent (%s denied)', async (operation, event) => {
    const { bench, aws } = await openAwsBench('managed-aws');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const writes = () => aws.calls.filter(({ operation: name }) => name === 'CreateSecret').length;
    const before = writes();
    aws.fault({ kind: 'deny', operation });
    const next = eventRecord({ password: MASKED, ...event, at: 2 });
    const outcome = await bench.handle(next).catch((error: unknown) => error);
    expect(['waiting', 'retryable']).toContain(outcome instanceof Error ? 'retryable' : outcome);
    expect(writes()).toBe(before);
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-a');
    expect(await bench.stored()).toMatchObject({
      [PASSWORD_ID]: expect.stringMatching(/live|writing/) as string,
    });
    aws.clearFaults();
    await bench.expireClaims();
    await bench.handle(eventRecord({ password: 'MARK-c', at: 3 }));
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-c');
  });

  it('a change that only comes in the event’s change description leaks the old password', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a' }));
    await bench.expectNowhereElse('MARK-');
  });
});
