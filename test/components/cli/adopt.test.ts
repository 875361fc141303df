import { describe, expect, it } from 'vitest';
import { queryDatabase, runCli } from '../../harness/index.js';
import { docBlock, runBlock } from '../../harness/doc-blocks.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { changeEvent, idOf, localSetup, MARKER } from './support.js';

const idFor = (name: string): string => `/openmetadata/database/${name}/password`;

/** A store that a metadata server has filled, and a worker that moves over. */
async function setup() {
  const aws = await startAwsStandin();
  const { databaseFile, env: local } = localSetup();
  const env = {
    ...local,
    SECRET_MANAGER: 'managed-aws',
    SECRET_ADOPT: 'true',
    AWS_ENDPOINT_URL: aws.url,
    OM_SM_REGION: 'eu-west-1',
    OM_SM_ACCESS_KEY_ID: 'test',
    OM_SM_ACCESS_KEY: 'test',
  };
  return {
    aws,
    env,
    seed: (name: string, value: string) => {
      aws.seed('secretsmanager', { secretId: idFor(name), value });
    },
    pipe: (lines: readonly string[]) => runCli(['pipe'], { env, input: lines.join('\n') }),
    adopt: (...args: string[]) => runCli(['adopt', ...args], { env }),
    query: (sql: string) => queryDatabase({ url: `sqlite:${databaseFile}` }, sql),
    ownerOf: async (name: string) => {
      const sql = `SELECT connection_id AS id FROM stored_secret WHERE state = 'live' AND secret_id = '${idFor(name)}'`;
      return (await queryDatabase({ url: `sqlite:${databaseFile}` }, sql))[0]?.['id'] ?? null;
    },
  };
}

const referring = (number: number, name: string, id = idFor(name)): string =>
  changeEvent({
    id: idOf(number),
    eventId: `33333333-0000-4000-8000-${String(number).padStart(12, '0')}`,
    name,
    password: `secret:${id}`,
  });

describe('adopt', () => {
  it('takes over what one connection alone claims, and leaves what two claim, with a table and a remedy', async () => {
    const { aws, env, seed, pipe, adopt, query, ownerOf } = await setup();
    seed('prod_db', `${MARKER}-prod`);
    seed('big_db', `${MARKER}-big`);
    seed('plain', `${MARKER}-plain`);
    const events = [
      referring(1, 'plain'),
      referring(2, 'Big DB', idFor('big_db')),
      referring(3, 'PROD DB', idFor('prod_db')),
      referring(4, 'prod.db', idFor('prod_db')),
    ];
    const piped = await pipe(events);
    expect(piped.code, piped.stderr).toBe(3);
    // Only the name that nobody else can mean was adopted by its event.
    expect(await ownerOf('plain')).toBe(idOf(1));
    expect(await query('SELECT code FROM dead_letter ORDER BY connection_id')).toEqual(
      ['ADOPTION_AMBIGUOUS', 'ADOPTION_AMBIGUOUS', 'ADOPTION_AMBIGUOUS'].map((code) => ({ code })),
    );

    const before = aws.secrets();
    const preview = await runBlock(docBlock('docs/adopting.md', 'sh', '--dry-run'), { env });
    expect(preview.code).toBe(1);
    expect(preview.stdout).toContain('conflict: several');
    expect(preview.stdout).toContain('--choose');
    expect(preview.stdout + preview.stderr).not.toContain(MARKER);
    expect(aws.secrets()).toEqual(before);

    const adopted = await adopt('--json');
    expect(adopted.code).toBe(1);
    expect(JSON.parse(adopted.stdout)).toMatchObject({
      applied: 1,
      left: 2,
      secrets: [
        { secretId: idFor('big_db'), kind: 'adopt', connectionId: idOf(2) },
        { secretId: idFor('prod_db'), kind: 'conflict', reason: 'several' },
      ],
    });
    expect(await ownerOf('big_db')).toBe(idOf(2));
    expect(await ownerOf('prod_db')).toBeNull();
    expect(
      await query(`SELECT action, actor FROM audit WHERE action = 'adopt' AND connection_id = '${idOf(2)}'`),
    ).toHaveLength(1);

    const chosen = await adopt('--choose', `${idFor('prod_db')}=${idOf(4)}`, '--json');
    expect(JSON.parse(chosen.stdout)).toMatchObject({ applied: 1, left: 1 });
    expect(await ownerOf('prod_db')).toBe(idOf(4));
    // The other one stays refused, whatever is asked for: the secret is somebody's now.
    const stolen = await adopt('--choose', `${idFor('prod_db')}=${idOf(3)}`, '--json');
    expect(stolen.code).toBe(1);
    expect(JSON.parse(stolen.stdout)).toMatchObject({ applied: 0, left: 1 });
    expect(await ownerOf('prod_db')).toBe(idOf(4));
    expect(
      aws
        .secrets()
        .map(({ value }) => value)
        .sort(),
    ).toEqual(before.map(({ value }) => value).sort());
  });

  it('a secret that the store does not have is not adopted; a choice has to name both', async () => {
    const { pipe, adopt, ownerOf } = await setup();
    expect((await adopt('--choose', 'nonsense')).code).toBe(2);
    await pipe([referring(2, 'Big DB', idFor('big_db'))]);
    const result = await adopt('--json');
    expect(result.code).toBe(1);
    expect(JSON.parse(result.stdout)).toMatchObject({ secrets: [{ reason: 'absent' }], applied: 0, left: 1 });
    expect(await ownerOf('big_db')).toBeNull();
  });

  it('says so where nothing is to be adopted, and refuses a manager without a store', async () => {
    const { pipe, adopt, env } = await setup();
    await pipe([changeEvent()]);
    expect(await adopt()).toMatchObject({ code: 0 });
    const other = localSetup();
    const refused = await runCli(['adopt'], { env: { ...other.env, SECRET_MANAGER: 'db' } });
    expect(refused).toMatchObject({ code: 2 });
    expect(env.SECRET_ADOPT).toBe('true');
  });
});
