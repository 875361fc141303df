import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { openHttpServer, type HttpParts } from '../../../src/http/server.js';

const MARKER = 'c4n4ry-value';
const READY = { ready: true, phase: 'running', parts: [] } as const;

async function open(parts: Partial<HttpParts> = {}) {
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    readiness: () => READY,
    metrics: async () => 'm 1\n',
    ...parts,
  });
  onTestFinished(() => server.close());
  return server.url;
}

it('answers that it is alive, whatever its readiness', async () => {
  const url = await open({ readiness: () => ({ ...READY, ready: false }) });
  const response = await fetch(`${url}/healthz`);
  expect([response.status, await response.json()]).toEqual([200, { status: 'alive' }]);
});

it('answers 200 or 503 with every part', async () => {
  let ready = false;
  const parts = [
    { part: 'broker', state: 'down', since: '2030-01-01T00:00:00.000Z', code: 'BROKER_UNAVAILABLE' },
  ] as const;
  const url = await open({ readiness: () => ({ ready, phase: 'running', parts }) });
  const down = await fetch(`${url}/readyz`);
  expect([down.status, await down.json()]).toEqual([503, { ready: false, phase: 'running', parts }]);
  ready = true;
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

it('gives metrics as text', async () => {
  const response = await fetch(`${await open()}/metrics`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await response.text()).toBe('m 1\n');
});

it('repeats neither a path nor an error', async () => {
  const url = await open({ metrics: () => Promise.reject(new Error(MARKER)) });
  const failed = await fetch(`${url}/metrics`);
  expect([failed.status, await failed.text()]).toEqual([500, '{"error":"internal error"}']);
  const missing = await fetch(`${url}/${MARKER}`);
  expect([missing.status, await missing.text()]).toEqual([404, '{"error":"not found"}']);
  expect((await fetch(`${url}/healthz`, { method: 'POST', body: MARKER })).status).toBe(404);
});

it('says which setting is wrong where the port is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  await expect(open({ port })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('EADDRINUSE') as string,
  });
});
