import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { SecretsManager } from '../../src/secrets-managers/port.js';
import { createSecretsManager } from '../../src/secrets-managers/registry.js';
import { awsClients, describeWith } from '../harness/index.js';
import { errorOf, freshId, putItem, storeCall, testSettings, textOf, valueOf } from './fixture.js';

type AwsName = 'managed-aws' | 'managed-aws-ssm';
const NAMES = ['managed-aws', 'managed-aws-ssm'] as const;
const SEALER = { seal: (text: string) => text, open: (token: string) => token };
const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';

interface Sent {
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  readonly body: string;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  delete process.env['AWS_ACCESS_KEY_ID'];
  delete process.env['AWS_SECRET_ACCESS_KEY'];
  delete process.env['AWS_SESSION_TOKEN'];
});

/** A service that keeps what it is sent, and answers each put with success unless told otherwise. */
async function recording(answers: Answer[] = []): Promise<{ url: string; sent: Sent[] }> {
  const sent: Sent[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      sent.push({
        headers: request.headers,
        path: request.url ?? '',
        body: Buffer.concat(chunks).toString('utf8'),
      });
      const {
        status = 200,
        headers = {},
        body = { ARN: 'arn', VersionId: 'v1', Version: 2 },
      } = answers[sent.length - 1] ?? {};
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent };
}

async function opened(
  name: AwsName,
  endpointUrl: string,
  texts: Readonly<Record<string, string>> = {},
): Promise<SecretsManager> {
  const settings = testSettings({
    ...{ OM_SM_ACCESS_KEY_ID: undefined, OM_SM_ACCESS_KEY: undefined },
    AWS_ENDPOINT_URL: endpointUrl,
    ...texts,
  });
  process.env['AWS_ACCESS_KEY_ID'] = 'AKIDEXAMPLE';
  process.env['AWS_SECRET_ACCESS_KEY'] = SECRET_KEY;
  process.env['AWS_SESSION_TOKEN'] = 'a-session-token';
  const manager = await createSecretsManager(name, settings, { keys: SEALER });
  closers.unshift(() => manager.store.close());
  return manager;
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The signature that AWS expects: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function signatureOf({ headers, path, body }: Sent): { sent: string; expected: string; scope: string } {
  const authorization = headers.authorization ?? '';
  const part = (name: string): string => new RegExp(`${name}=([^, ]+)`).exec(authorization)?.[1] ?? '';
  const signed = part('SignedHeaders');
  const canonical = [
    'POST',
    path,
    '',
    ...signed.split(';').map((header) => `${header}:${String(headers[header]).trim().replace(/ +/g, ' ')}`),
    '',
    signed,
    sha256(body),
  ].join('\n');
  const scope = part('Credential').split('/').slice(1).join('/');
  const [day = '', region = '', service = ''] = scope.split('/');
  const key = hmac(hmac(hmac(hmac(`AWS4${SECRET_KEY}`, day), region), service), 'aws4_request');
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  return { sent: part('Signature'), expected: hmac(key, text).toString('hex'), scope };
}

/** Headers that belong to one request, or to the SDK's own retries. */
const OF_ONE = /^(authorization|content-length|amz-sdk-.*|x-amz-date|x-amz-content-sha256|connection)$/;
const lasting = ({ headers }: Sent) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_ONE.test(name)));

describe.each(NAMES)('%s: calls that are signed without the SDK’s stack', (name) => {
  it.each([false, true])('are what the SDK sends (known: %s)', async (known) => {
    const { url, sent } = await recording();
    const { store } = await opened(name, url);
    const item = putItem(freshId(), 'grüße "x"\n', { known });
    for (let time = 0; time < 3; time += 1) valueOf((await store.put([item], storeCall()))[0]);
    const [bySdk, ...byUs] = sent as [Sent, Sent, Sent];
    expect(byUs).toHaveLength(2);
    for (const own of byUs) {
      expect(lasting(own)).toEqual(lasting(bySdk));
      expect(JSON.parse(own.body)).toEqual(JSON.parse(bySdk.body));
      expect(own.path).toBe(bySdk.path);
      expect(own.headers['x-amz-security-token']).toBe('a-session-token');
      expect(Number(own.headers['content-length'])).toBe(Buffer.byteLength(own.body));
    }
    for (const one of sent) {
      const signature = signatureOf(one);
      expect(signature.sent).toBe(signature.expected);
      expect(signature.scope).toBe(signatureOf(bySdk).scope);
    }
  });

  it('name an error as the service does, by header or body, and never quote it', async () => {
    const [header, body] = [{ 'x-amzn-errortype': 'ThrottlingException:http://x/' }, 'AccessDeniedException'];
    const { url } = await recording([
      {},
      { status: 400, headers: header, body: {} },
      { status: 400, body: { __type: `com.amazonaws.x#${body}`, message: 'MARKER-9c' } },
      { status: 400, body: 'MARKER-9c: no JSON' },
      { status: 200, body: 'MARKER-9c: no JSON' },
    ]);
    const { store } = await opened(name, url);
    const item = putItem(freshId(), 'MARKER-9c', { known: true });
    valueOf((await store.put([item], storeCall()))[0]);
    const told: unknown[] = [];
    for (let time = 0; time < 4; time += 1) {
      const error = errorOf((await store.put([item], storeCall()))[0]);
      told.push([error.class, error.applied]);
      expect(inspect(error)).not.toContain('MARKER-9c');
    }
    expect(told).toEqual([
      ['transient', 'no'],
      ['access', 'no'],
      ['transient', 'unknown'],
      ['transient', 'unknown'],
    ]);
  });

  it('are signed by the service’s clock once ours is wrong', async () => {
    const ahead = new Date(Date.now() + 3_600_000);
    const skewed = {
      status: 400,
      headers: { date: ahead.toUTCString() },
      body: { __type: 'RequestTimeTooSkewed' },
    };
    const { url, sent } = await recording([{}, skewed, { headers: { date: ahead.toUTCString() } }]);
    const { store } = await opened(name, url);
    const item = putItem(freshId(), 'v', { known: true });
    for (let time = 0; time < 3; time += 1) await store.put([item], storeCall());
    const hours = sent.map(({ headers }) => String(headers['x-amz-date']).slice(0, 11));
    const hourOf = (at: number): string => new Date(at).toISOString().replace(/[-:]/g, '').slice(0, 11);
    expect(hours[1]).toBe(hourOf(ahead.getTime() - 3_600_000));
    expect(hours[2]).toBe(hourOf(ahead.getTime()));
  });

  it('keep nothing of a value', async () => {
    const { url } = await recording();
    const { store } = await opened(name, url);
    for (let time = 0; time < 2; time += 1)
      await store.put([putItem(freshId(), 'MARKER-9c', { known: true })], storeCall());
    expect(inspect(store, { depth: 12, showHidden: true, maxArrayLength: 1_000 })).not.toContain('MARKER-9c');
  });
});

describe('a key of one’s own', () => {
  it.each([
    ['managed-aws', 'KmsKeyId', [true, false]],
    ['managed-aws-ssm', 'KeyId', [true, true]],
  ] as const)('is named by %s where the store takes it: %s', async (name, member, named) => {
    for (const texts of [{ AWS_KMS_KEY_ID: 'alias/own' }, {}]) {
      const { url, sent } = await recording();
      const { store } = await opened(name, url, texts);
      await store.put([putItem(freshId(), 'new')], storeCall());
      await store.put([putItem(freshId(), 'changed', { known: true })], storeCall());
      const bodies = sent.map(({ body }) => (JSON.parse(body) as Record<string, unknown>)[member]);
      expect(bodies).toEqual(named.map((is) => (is && 'AWS_KMS_KEY_ID' in texts ? 'alias/own' : undefined)));
    }
  });
});

describeWith(['moto'], 'calls that are signed without the SDK’s stack, on moto', ({ moto }) => {
  it.each(NAMES)('create, change and are refused: %s', async (name) => {
    const { env } = awsClients(moto);
    const manager = await createSecretsManager(
      name,
      testSettings({ AWS_ENDPOINT_URL: moto, OM_SM_REGION: env['OM_SM_REGION'] }),
      { keys: SEALER },
    );
    closers.push(() => manager.store.close());
    const ids = [freshId(), freshId(), freshId()];
    for (const id of ids) {
      expect(valueOf((await manager.store.put([putItem(id, 'one')], storeCall()))[0]).effect).toBe('created');
      valueOf((await manager.store.put([putItem(id, `two of ${id}`, { known: true })], storeCall()))[0]);
    }
    for (const id of ids) expect(await textOf({ manager }, id)).toBe(`two of ${id}`);
    // The name is taken: told by its error, and changed.
    expect(valueOf((await manager.store.put([putItem(ids[0] ?? '', 'three')], storeCall()))[0]).effect).toBe(
      'changed',
    );
  });
});
