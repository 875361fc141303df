import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { EXIT } from '../../../src/cli/cli.js';
import { SETTING_NAMES, SETTINGS } from '../../../src/config/settings.js';
import { PROJECT_DIR } from '../../harness/index.js';
import { compiled, dataFile } from './schemas.js';

const read = (file: string): string => readFileSync(join(PROJECT_DIR, file), 'utf8');
/** A stop that takes longer ends by itself. */
const GRACE_MS = Number(SETTINGS.SHUTDOWN_GRACE_MS.default) + 10_000;
const { bin } = JSON.parse(read('package.json')) as { bin: Record<string, string> };
const PROGRAM = bin['connection-secrets'] ?? '';

describe('docker-compose.yml', () => {
  interface Compose {
    readonly services: Readonly<
      Record<string, { readonly image?: string; readonly stop_grace_period?: string }>
    >;
  }
  const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;

  it('is one by the Compose Specification', () => {
    const validate = compiled(dataFile('compose'));
    expect(validate(withoutExtensions(compose)), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ services: { worker: { imagee: 'x' } } })).toBe(false);
  });

  it('pins every image, and lets the worker finish', () => {
    for (const { image = 'x:1' } of Object.values(compose.services))
      expect(image).toMatch(/^connection-secrets-worker$|:\d/);
    expect(parseInt(compose.services['worker']?.stop_grace_period ?? '') * 1_000).toBeGreaterThan(GRACE_MS);
  });

  /** `x-…` may stand anywhere at the top; the schema of the day knows that for the rest of the file. */
  function withoutExtensions(value: object): object {
    return Object.fromEntries(Object.entries(value).filter(([name]) => !name.startsWith('x-')));
  }
});

describe('Dockerfile', () => {
  const stages = read('Dockerfile')
    .replace(/\\\n/g, ' ')
    .split(/^(?=FROM )/m);
  const last = stages.at(-1) ?? '';

  it('pins its base image', () => {
    const [, image = ''] = /^ARG NODE_IMAGE=(\S+)$/m.exec(stages[0] ?? '') ?? [];
    expect(image).toMatch(/^node:\d+\.\d+\.\d+-[\w-]+$/);
    for (const stage of stages.slice(1)) expect(stage).toMatch(/^FROM \$\{NODE_IMAGE\}( AS \w+)?\n/);
  });

  it('ships no compiler, no package manager’s work and no source', () => {
    expect(stages.length).toBe(3);
    expect(last).not.toMatch(/apt-get|g\+\+|\bmake\b|python|npm/);
    const copied = [...last.matchAll(/^COPY (?:--from=build )?(\S+)/gm)].map(([, path]) => path);
    expect(copied).toEqual(['/app/package.json', '/app/node_modules', '/app/dist', 'LICENSE']);
  });

  it('runs the program as a user by number, and has it on PATH', () => {
    expect([...last.matchAll(/^USER (.*)$/gm)].map(([, user]) => user)).toEqual(['1000:1000']);
    expect(last).toContain(`/app/${PROGRAM} /usr/local/bin/connection-secrets`);
    const [, entry = ''] = /^ENTRYPOINT (.*)$/m.exec(last) ?? [];
    expect((JSON.parse(entry) as string[]).at(-1)).toBe(PROGRAM);
    expect(last.indexOf('USER ')).toBeLessThan(last.indexOf('ENTRYPOINT '));
  });
});

describe('the systemd unit', () => {
  const FILE = 'deploy/systemd/connection-secrets-worker.service';
  const unit = read(FILE);
  const valuesOf = (name: string): string[] =>
    [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);

  it('starts the program of the package, and starts it again unless the configuration is wrong', () => {
    expect(valuesOf('ExecStart')[0]).toContain(`/node_modules/connection-secrets-worker/${PROGRAM} start`);
    expect(valuesOf('Restart')).toEqual(['on-failure']);
    expect(valuesOf('RestartPreventExitStatus')).toEqual([String(EXIT.usage)]);
    expect(parseInt(valuesOf('TimeoutStopSec')[0] ?? '') * 1_000).toBeGreaterThan(GRACE_MS);
  });

  it('hands secrets over as files', () => {
    const files = valuesOf('Environment').filter((value) => value.includes('_FILE='));
    expect(files).toEqual(['FERNET_KEY_FILE=%d/FERNET_KEY', 'DATABASE_URL_FILE=%d/DATABASE_URL']);
    expect(valuesOf('LoadCredential').map((value) => value.split(':')[0])).toEqual([
      'FERNET_KEY',
      'DATABASE_URL',
    ]);
    for (const file of files) expect(SETTING_NAMES).toContain(file.replace(/_FILE=.*/, ''));
  });

  const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;
  it.skipIf(!hasSystemd)('is locked up, as systemd judges', () => {
    const { status, stderr } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=20', FILE],
      {
        cwd: PROJECT_DIR,
        encoding: 'utf8',
      },
    );
    expect(status, stderr).toBe(0);
  });
});
