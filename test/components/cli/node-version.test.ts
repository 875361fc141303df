import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  createDatabase,
  PROJECT_DIR,
  runCli,
  tmpDir,
} from '../../harness/index.js';
import { runCommand } from '../../harness/run-command.js';
import { changeEvent, localSetup } from './support.js';

const NODE_TO_USE = '22';

/** Loads a module before the program: what another Node.js does differently. */
const before = (script: string): { NODE_OPTIONS: string } => ({
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}`,
});

/** The error of Node.js itself for a module that was built for another one. */
const OTHER_BUILD = before(`
  const dlopen = process.dlopen;
  process.dlopen = (module, file, ...more) => {
    if (!file.includes('better_sqlite3')) return dlopen(module, file, ...more);
    const text = "The module '" + file + "' was compiled against a different Node.js version using\\nNODE_MODULE_VERSION 42. This version of Node.js requires\\nNODE_MODULE_VERSION 115.";
    throw Object.assign(new Error(text), { code: 'ERR_DLOPEN_FAILED' });
  };`);

/** What is left after an installation without install scripts: no built file. */
const NO_BUILD = before(`
  process.dlopen = (module, file) => { throw Object.assign(new Error('x'), { code: 'MODULE_NOT_FOUND' }); };`);

/** Where better-sqlite3 12 aborts the process. */
const NEW_NODE = before(`
  Object.defineProperty(process, 'version', { value: 'v24.21.0' });`);

/** The oldest Node.js that runs the program, so that the SDK always has something to say. */
const OLD_NODE = before(`
  Object.defineProperty(process, 'version', { value: 'v20.19.0' });`);

describe('SQLite that does not run in this Node.js', () => {
  it.each([
    { title: 'to write', args: ['pipe'], set: OTHER_BUILD, says: 'NODE_MODULE_VERSION 42' },
    { title: 'to read', args: ['connections', 'list'], set: OTHER_BUILD, says: 'NODE_MODULE_VERSION 42' },
    { title: 'in Node.js 24', args: ['pipe'], set: NEW_NODE, says: 'v24.21.0' },
    { title: 'only to read in Node.js 24', args: ['connections', 'list'], set: NEW_NODE, says: 'v24.21.0' },
    { title: 'not built at all', args: ['pipe'], set: NO_BUILD, says: process.version },
  ])('$title: the error says so, and what to do', async ({ args, set, says }) => {
    const { url } = await createDatabase('sqlite');
    expect(
      await runCli(['database', 'migrate'], { env: { ...localSetup().env, DATABASE_URL: url } }),
    ).toMatchObject({
      code: 0,
    });
    const result = await runCli(args, { env: { ...localSetup().env, DATABASE_URL: url, ...set } });
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain('NATIVE_MODULE_UNUSABLE');
    expect(result.stderr).toContain(says);
    expect(result.stderr).toContain('npm rebuild better-sqlite3');
    expect(result.stderr).not.toContain('folder');
  });

  it.each([OTHER_BUILD, NEW_NODE])('also where only the vault is a SQLite file: %#', async (set) => {
    const script = `
      const { openVault } = await import('./src/secrets-managers/local/store.js');
      openVault('${join(tmpDir('vault'), 'x.vault')}', 100);`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', script];
    const run = runCommand(process.execPath, args, {
      cwd: PROJECT_DIR,
      env: { ...process.env, ...set },
    });
    await expect(run).rejects.toThrow(/NATIVE_MODULE_UNUSABLE/);
  });
});

describe('the AWS SDK on an old Node.js', () => {
  it('prints nothing into the output of a command, unless it is asked to', async () => {
    const standin = await startAwsStandin();
    const env = {
      ...localSetup().env,
      ...OLD_NODE,
      SECRET_MANAGER: 'managed-aws',
      OM_SM_REGION: AWS_REGION,
      OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
      OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL: standin.url,
      LOG_LEVEL: 'silent',
    };
    const input = `${changeEvent()}\n`;
    expect(await runCli(['pipe', '--out', '/dev/null'], { env, input })).toMatchObject({
      code: 0,
      stdout: '',
      stderr: '',
    });
    const asked = { ...env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'false' };
    const loud = await runCli(['resolve', 'secret:/openmetadata/database/mysql-test/password'], {
      env: asked,
    });
    expect(loud.stderr).toContain('NodeVersionSupportWarning');
  });
});

describe('which Node.js', () => {
  const read = (file: string): string => readFileSync(join(PROJECT_DIR, file), 'utf8');

  it('is the same for developers, in the image and in the documentation', () => {
    expect(read('.nvmrc').trim()).toBe(NODE_TO_USE);
    expect(read('Dockerfile')).toMatch(new RegExp(`^ARG NODE_IMAGE=node:${NODE_TO_USE}\\.\\d+\\.\\d+-`, 'm'));
    expect(read('README.md')).toContain(`Node.js ${NODE_TO_USE}`);
    expect(JSON.parse(read('package.json'))).toMatchObject({ engines: { node: '>=20.19' } });
  });
});
