import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startAwsStandin, type AwsStandin } from '../harness/aws-standin/index.js';
import { freshToken } from './fixture.js';

/** Raw requests: what the service refuses by itself, so that our own checks are not what is tested. */
async function post(url: string, target: string, body: object): Promise<{ status: number; name: string }> {
  const headers = { 'x-amz-target': target };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = (await response.json()) as { __type?: string };
  return { status: response.status, name: answer.__type ?? 'ok' };
}

async function json(url: string, method = 'GET', body?: object): Promise<unknown> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return response.json();
}

describe('the AWS stand-in is as strict as the service', () => {
  let standin: AwsStandin;
  beforeAll(async () => {
    standin = await startAwsStandin();
  });
  beforeEach(() => {
    standin.reset();
  });
  afterAll(() => standin.close());

  const create = (more: object) =>
    post(standin.url, 'secretsmanager.CreateSecret', {
      Name: '/a/b',
      SecretString: 'v',
      ClientRequestToken: freshToken(),
      ...more,
    });
  const putParameter = (more: object) =>
    post(standin.url, 'AmazonSSM.PutParameter', { Name: '/a/b', Value: 'v', Type: 'SecureString', ...more });

  it.each([
    ['65,537 bytes', { SecretString: 'x'.repeat(65_537) }],
    ['an empty value', { SecretString: '' }],
    ['a long name', { Name: 'x'.repeat(513) }],
    ['a bad character', { Name: '/a b' }],
    ['the end of an ARN', { Name: '/a-abc123' }],
    ['a short token', { ClientRequestToken: 'short' }],
    ['a tag twice', { Tags: [1, 2].map((n) => ({ Key: 'k', Value: String(n) })) }],
    ['a reserved tag', { Tags: [{ Key: 'aws:x', Value: '' }] }],
    ['51 tags', { Tags: Array.from({ length: 51 }, (_, n) => ({ Key: `k${n}`, Value: '' })) }],
  ])('Secrets Manager refuses %s', async (_name, more) => {
    expect(await create(more)).toEqual({ status: 400, name: 'InvalidParameterException' });
    expect(standin.secrets()).toEqual([]);
  });

  it('Secrets Manager takes 65,536 bytes, and refuses to write what is scheduled for deletion', async () => {
    expect((await create({ SecretString: 'x'.repeat(65_536) })).name).toBe('ok');
    expect((await create({})).name).toBe('ResourceExistsException');
    await post(standin.url, 'secretsmanager.DeleteSecret', { SecretId: '/a/b', RecoveryWindowInDays: 7 });
    expect((await create({})).name).toBe('InvalidRequestException');
    const put = { SecretId: '/a/b', SecretString: 'v', ClientRequestToken: freshToken() };
    const answer = await post(standin.url, 'secretsmanager.PutSecretValue', put);
    expect(answer.name).toBe('InvalidRequestException');
  });

  it.each([
    ['4,097 bytes', { Value: 'x'.repeat(4_097) }, 'ValidationException'],
    ['8,193 bytes', { Value: 'x'.repeat(8_193), Tier: 'Advanced' }, 'ValidationException'],
    ['nested parameters', { Value: 'a{{x}}' }, 'ValidationException'],
    ['tags with Overwrite', { Overwrite: true, Tags: [{ Key: 'k', Value: '' }] }, 'ValidationException'],
    ['a reserved name', { Name: '/aws/x' }, 'ValidationException'],
    ['a hierarchy without a slash', { Name: 'a/b' }, 'ValidationException'],
    ['a long name', { Name: `/${'x'.repeat(1_000)}` }, 'ValidationException'],
    ['16 levels', { Name: '/a'.repeat(16) }, 'HierarchyLevelLimitExceededException'],
  ])('the Parameter Store refuses %s', async (_name, more, name) => {
    expect(await putParameter(more)).toEqual({ status: 400, name });
    expect(standin.secrets()).toEqual([]);
  });

  it('the Parameter Store reads at most ten, and none twice', async () => {
    const read = (names: string[]) => post(standin.url, 'AmazonSSM.GetParameters', { Names: names });
    expect((await read(Array.from({ length: 11 }, (_, n) => `/p${n}`))).name).toBe('ValidationException');
    expect((await read(['/p', '/p:1'])).name).toBe('ValidationException');
    expect((await read(['/p', '/q'])).name).toBe('ok');
  });

  it('throttles writes beyond its rate, skips and counts as scripted, and logs no value', async () => {
    standin.configure({ writesPerSecond: 2 });
    standin.fault({ kind: 'server-error', operation: 'CreateSecret', skip: 1, times: 1 });
    const answers = [];
    for (let count = 0; count < 4; count += 1) {
      answers.push((await create({ Name: `/a/${count}`, SecretString: 'MARKER-0f' })).name);
    }
    expect(answers).toEqual(['ok', 'InternalServiceError', 'ok', 'ThrottlingException']);
    expect(standin.calls.map((call) => call.applied)).toEqual([true, false, true, false]);
    expect(JSON.stringify(standin.calls)).not.toContain('MARKER-0f');
  });

  it('carries out late what was delayed, also when the client has gone', async () => {
    standin.fault({ kind: 'delay', delayMs: 150 });
    const body = { Name: '/a/b', SecretString: 'late', ClientRequestToken: freshToken() };
    const request = fetch(standin.url, {
      method: 'POST',
      headers: { 'x-amz-target': 'secretsmanager.CreateSecret' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(50),
    });
    await expect(request).rejects.toThrow();
    expect(standin.secrets()).toEqual([]);
    await expect.poll(() => standin.secrets().map((secret) => secret.value)).toEqual(['late']);
  });
});

describe('the AWS stand-in as a program', () => {
  it('is scripted and read over HTTP, and ends on SIGTERM', async () => {
    const program = ['--import', 'tsx', 'test/harness/aws-standin/main.ts'];
    const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      const { url } = JSON.parse(line) as { url: string };
      await json(`${url}/standin/secrets`, 'POST', { service: 'ssm', secretId: '/a', value: 'v' });
      expect(await json(`${url}/standin/secrets`)).toMatchObject([
        { secretId: '/a', value: 'v', version: '1' },
      ]);
      const { id } = (await json(`${url}/standin/faults`, 'POST', { kind: 'deny' })) as { id: number };
      const read = () => post(url, 'AmazonSSM.GetParameters', { Names: ['/a'] });
      expect((await read()).name).toBe('AccessDeniedException');
      await json(`${url}/standin/faults/${id}`, 'DELETE');
      expect((await read()).name).toBe('ok');
      expect(await json(`${url}/standin/calls`)).toMatchObject([
        { operation: 'GetParameters', ids: ['/a'], outcome: 'AccessDeniedException' },
        { operation: 'GetParameters', outcome: 'ok' },
      ]);
      await json(`${url}/standin/reset`, 'POST');
      expect(await json(`${url}/standin/secrets`)).toEqual([]);
    } finally {
      child.kill('SIGTERM');
    }
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
  });
});
