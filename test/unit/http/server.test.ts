import { connect, createServer, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { openHttpServer, type HttpParts } from '../../../src/http/server.js';

const MARKER = 'c4n4ry-value';
const READY = { ready: true, phase: 'running', parts: [], warnings: [] } as const;

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
  const url = await open({ readiness: () => ({ ready, phase: 'running', parts, warnings: [] }) });
  const down = await fetch(`${url}/readyz`);
  expect([down.status, await down.json()]).toEqual([
    503,
    { ready: false, phase: 'running', parts, warnings: [] },
  ]);
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

it.each([
  ['a path that is none', `GET /%zz${MARKER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`],
  ['a header that is none', `GET /healthz HTTP/1.1\r\nHost: x\r\n${MARKER}: \x01\r\n\r\n`],
  ['a method that is none', `${MARKER} / HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['too much', `GET /${MARKER.repeat(2_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['an expectation', `GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: ${MARKER}\r\nConnection: close\r\n\r\n`],
  [
    'a body that is no JSON',
    `POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${MARKER.length}\r\n\r\n${MARKER}`,
  ],
])('does not repeat %s', async (_title, request) => {
  const { hostname, port } = new URL(await open());
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(request);
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 [45]/);
  expect(answer).not.toContain(MARKER);
});

it('names the setting if the port is in use', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  await expect(open({ port })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('EADDRINUSE') as string,
  });
});
