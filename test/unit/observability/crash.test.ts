import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { crashLine } from '../../../src/observability/crash.js';

const MARKER = 'c4n4ry-value';
const CRASH = fileURLToPath(new URL('../../../src/observability/crash.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

it.each([
  ['an exception', `throw Object.assign(new TypeError('${MARKER}'), { body: '${MARKER}' })`],
  ['a rejection', `Promise.reject(new RangeError('${MARKER}'))`],
  ['a thrown text', `throw '${MARKER}'`],
  ['a rejected object', `Promise.reject({ password: '${MARKER}' })`],
])('%s that nobody handles ends the process with 1 and one line without its text', (_title, code) => {
  const script = `
    const { installCrashHandlers } = await import(${JSON.stringify(CRASH)});
    installCrashHandlers();
    setTimeout(() => { ${code} }, 0);
    setInterval(() => undefined, 1000);`;
  const ended = spawnSync(process.execPath, ['--import', TSX, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(ended.status).toBe(1);
  expect(ended.stdout + ended.stderr).not.toContain(MARKER);
  expect(ended.stderr.trim().split('\n')).toHaveLength(1);
  expect(JSON.parse(ended.stderr)).toMatchObject({ level: 'fatal' });
});

it('names the code of our own errors', () => {
  const line = crashLine('unhandledRejection', new WorkerError('CLAIM_LOST', 'claim of x lost'));
  expect(JSON.parse(line)).toMatchObject({ msg: 'unhandledRejection', code: 'CLAIM_LOST' });
});
