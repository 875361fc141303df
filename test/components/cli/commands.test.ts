import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Database } from '../../../src/database/database.js';
import { recordMissed } from '../../../src/database/missed-records.js';
import { KeyRing, sealText } from '../../../src/fernet/index.js';
import {
  CLI_FILE,
  createDatabase,
  queryDatabase,
  runCli,
  startCli,
  startProcess,
  type CliResult,
} from '../../harness/index.js';
import { changeEvent, CONNECTION_ID, localSetup, MARKER, type LocalSetup } from './support.js';

const REFERENCE = 'secret:/openmetadata/database/mysql-test/password';

/** A folder in which one event with the marker has been applied. */
async function appliedSetup(): Promise<LocalSetup> {
  const setup = localSetup();
  const result = await runCli(['pipe', '--out', join(setup.dir, 'out.ndjson')], {
    env: setup.env,
    input: `${changeEvent()}\n`,
  });
  expect(result).toMatchObject({ code: 0, stdout: '' });
  return setup;
}

function jsonOf(result: CliResult): unknown {
  return JSON.parse(result.stdout);
}

it('help loads no driver, broker client or cloud SDK: a command loads what it needs', async () => {
  const tell = `
    import { createRequire } from 'node:module';
    const { cache } = createRequire('/');
    process.on('exit', () => process.stderr.write(Object.keys(cache).join('\\n')));`;
  const { code, stderr } = await runCli(['--help'], {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tell)}` },
  });
  expect(code).toBe(0);
  const packages = stderr.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/g);
  const loaded = new Set([...packages].map(([, name]) => name));
  expect(loaded).toContain('commander');
  for (const heavy of ['typeorm', 'mysql2', 'pg', 'better-sqlite3', 'kafkajs', 'fastify'])
    expect(loaded).not.toContain(heavy);
});

describe('wrong use', () => {
  it.each([
    { title: 'no command', args: [] },
    { title: 'an unknown command', args: ['begin'] },
    { title: 'a group without its command', args: ['database'] },
    { title: 'an unknown flag', args: ['pipe', '--frob'] },
    { title: 'an argument too many', args: ['generate-key', 'more'] },
    { title: 'a flag without its value', args: ['pipe', '--in'] },
    { title: 'resolve without a reference', args: ['resolve'] },
    { title: 'show without an id', args: ['connections', 'show'] },
    { title: 'a limit that is no number', args: ['connections', 'list', '--limit', 'many'] },
    { title: 'a kind that is none', args: ['connections', 'list', '--kind', 'spaceship'] },
    { title: 'an action that nobody does', args: ['audit', 'list', '--action', 'aply'] },
    { title: 'a time that is none', args: ['audit', 'list', '--since', 'yesterday'] },
    { title: 'no partitions', args: ['topics', 'create', '--partitions', '0'] },
    { title: 'a retention that is none', args: ['topics', 'create', '--secured-retention', 'long'] },
    { title: 'a catalogue from nowhere', args: ['catalog', 'build', '--out', 'x.json'] },
    { title: 'an unknown sub-command', args: ['topics', 'destroy'] },
  ])('$title ends with 2', async ({ args }) => {
    const result = await runCli(args);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code: 2, stdout: '' });
    expect(result.stderr).not.toBe('');
  });

  it('says code and hint, as text and as JSON', async () => {
    const text = await runCli(['pipe', '--frob']);
    expect(text.stderr).toBe(
      "error: USAGE_INVALID: unknown option '--frob'\nhint: See connection-secrets pipe --help\n",
    );
    const json = await runCli(['doctor', '--json', '--frob=abc']);
    expect(json).toMatchObject({ code: 2, stdout: '' });
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'USAGE_INVALID' } });
    expect(json.stderr).not.toContain('abc');
  });

  it('lists all mistakes of a configuration and repeats no text of it', async () => {
    const env = { FERNET_KEY: MARKER, HTTP_PORT: 'often', DATABASE_URL: `oracle://u:${MARKER}@host/x` };
    const result = await runCli(['start'], { env });
    expect(result.code).toBe(2);
    for (const name of ['FERNET_KEY', 'HTTP_PORT', 'DATABASE_URL', 'KAFKA_BROKERS'])
      expect(result.stderr).toContain(`${name}:`);
    expect(result.stderr + result.stdout).not.toContain(MARKER);
  });
});

it('standard error has the one error of --json, and no warning of the AWS SDK about Node.js', async () => {
  const { env } = localSetup();
  const aws = {
    SECRET_MANAGER: 'managed-aws',
    OM_SM_REGION: 'eu-west-1',
    OM_SM_ACCESS_KEY_ID: 'id',
    OM_SM_ACCESS_KEY: 'key',
    // Nobody listens there.
    AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
  };
  const result = await runCli(['resolve', 'secret:/none', '--json'], { env: { ...env, ...aws } });
  expect(result.code).toBe(1);
  expect(JSON.parse(result.stderr)).toMatchObject({ error: { code: 'STORE_UNAVAILABLE' } });
});

describe('pipe', () => {
  it('writes secured events to standard output and logs to standard error', async () => {
    const { env } = localSetup();
    const result = await runCli(['pipe'], { env, input: changeEvent() });
    expect(result.code).toBe(0);
    const lines = result.stdout.trim().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      type: 'connection.secured',
      data: { entity: { connection: { config: { password: REFERENCE } } } },
    });
    const logged = result.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(logged.at(-1)).toMatchObject({ msg: 'pipe done', events: 1, applied: 1 });
    expect(result.stdout + result.stderr).not.toContain(MARKER);
  });

  it('comes to its end with the shortest claim there is', async () => {
    const { env } = localSetup();
    const short = { ...env, CLAIM_MS: '3000', STORE_TIMEOUT_MS: '500' };
    const result = await runCli(['pipe'], { env: short, input: changeEvent(), timeoutMs: 20_000 });
    expect(result.code).toBe(0);
    expect(result.stdout.trim().split('\n')).toHaveLength(1);
  });

  it('ends with 3 where a line became a dead letter, all others applied', async () => {
    const { env } = localSetup();
    const input = [
      changeEvent({ id: '44444444-0000-4000-8000-000000000001', eventId: 'e1', name: 'bad', password: 17 }),
      `{"broken": "${MARKER}`,
      changeEvent(),
    ].join('\n');
    const result = await runCli(['pipe'], { env, input });
    expect(result.code).toBe(3);
    expect(result.stdout.trim().split('\n')).toHaveLength(1);
    expect(result.stderr).toContain('"events":3');
    expect(result.stderr).toContain('FIELD_NOT_A_STRING');
    expect(result.stdout + result.stderr).not.toContain(MARKER);
  });

  it('keeps a line that is no event once, however often the same input comes', async () => {
    const { env, databaseFile } = localSetup();
    for (let run = 1; run <= 2; run += 1)
      expect((await runCli(['pipe'], { env, input: 'no event\n' })).code).toBe(3);
    const database = { url: `sqlite:${databaseFile}` };
    expect(await queryDatabase(database, 'SELECT event_id FROM dead_letter')).toHaveLength(1);
    expect(await queryDatabase(database, 'SELECT event_id FROM inbox')).toHaveLength(1);
  });

  it('goes on behind a line that is too large, which is kept without its content', async () => {
    const { env, databaseFile } = localSetup();
    const long = (end: string): string => `{"a":"${MARKER.padEnd(17 * 1024 * 1024, 'x')}${end}"}`;
    const database = { url: `sqlite:${databaseFile}` };
    // The second run has another line in the place of the first.
    for (const [end, letters] of [
      ['1', 1],
      ['1', 1],
      ['2', 2],
    ] as const) {
      const result = await runCli(['pipe'], { env, input: `${long(end)}\n${changeEvent()}\n` });
      expect(result.code).toBe(3);
      expect(result.stderr).toContain('EVENT_TOO_LARGE');
      expect(result.stdout + result.stderr).not.toContain(MARKER);
      const rows = await queryDatabase(database, 'SELECT code, position, payload FROM dead_letter');
      expect(rows.map(({ code, position }) => [code, Number(position)])).toEqual(
        Array<unknown>(letters).fill(['EVENT_TOO_LARGE', 0]),
      );
      expect(rows.every(({ payload }) => String(payload).length < 2_000)).toBe(true);
    }
    const resolved = await runCli(['resolve', REFERENCE], { env });
    expect(resolved.stdout.trim()).toBe(MARKER);
  });

  it('counts a line that waited and was applied in the end as applied', async () => {
    const { env } = localSetup();
    const masked = changeEvent({
      eventId: 'e-masked',
      eventType: 'entityUpdated',
      password: '*********',
      timestampMs: 1_790_000_001_000,
    });
    const result = await runCli(['pipe'], { env, input: `${masked}\n${changeEvent()}\n` });
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/"events":2,"applied":2/);
  });

  it('ends with 2 for an input that is not there', async () => {
    const { env, dir } = localSetup();
    const result = await runCli(['pipe', '--in', join(dir, 'none')], { env });
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('error: USAGE_INVALID: --in:');
  });

  it('ends with 2 where the database cannot be made', async () => {
    const { env, dir } = localSetup();
    const result = await runCli(['pipe'], {
      env: { ...env, DATABASE_URL: `sqlite:${join(dir, 'none', 'x')}` },
    });
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('error: CONFIG_INVALID: DATABASE_URL:');
  });

  it('stops at SIGINT, also where the input says nothing, and says that it may be run again', async () => {
    const { env } = localSetup();
    const pipe = startCli(['pipe'], env);
    pipe.write(`${changeEvent()}\n`);
    await pipe.waitForLine('"outcome":"applied"', { stream: 'stderr' });
    process.kill(pipe.pid, 'SIGINT');
    expect(await pipe.waitForExit()).toEqual({ code: 1, signal: null });
    expect(pipe.stderr()).toContain('pipe interrupted');
    expect(pipe.stdout().trim().split('\n')).toHaveLength(1);
  });
});

describe('an output that is no file', () => {
  it('may be a device: nothing is synced there', async () => {
    const { env } = localSetup();
    const result = await runCli(['pipe', '--out', '/dev/null'], { env, input: changeEvent() });
    expect(result).toMatchObject({ code: 0, stdout: '' });
    expect(result.stderr).not.toContain('trying again');
  });

  it('may be a named pipe, whose reader may come later and may go', async () => {
    const { env, dir } = localSetup();
    const fifo = join(dir, 'fifo');
    spawnSync('mkfifo', [fifo]);
    const pipe = startCli(['pipe', '--out', fifo], { ...env, CLAIM_MS: '7000', STORE_TIMEOUT_MS: '1000' });
    pipe.write(`${changeEvent()}\n`);
    const reader = startProcess({ command: 'head', args: ['-n', '1', fifo] });
    await reader.waitForExit();
    expect(reader.stdout()).toContain(REFERENCE);
    pipe.end(`${changeEvent({ id: 'second', eventId: 'second', name: 'second' })}\n`);
    expect(await pipe.waitForExit()).toEqual({ code: 1, signal: null });
    expect(pipe.stderr()).toContain(`${fifo} was closed by its reader`);
  });
});

describe('a reader that goes away', () => {
  it.each([
    ['--help', 0],
    ['frob', 2],
  ])('is no crash: %s', async (command, code) => {
    // `true` is gone before the program has anything to write.
    const script = `"$0" "$1" "$2" 2>&1 | true; echo "code \${PIPESTATUS[0]}"`;
    const shell = startProcess({
      command: 'bash',
      args: ['-c', script, process.execPath, CLI_FILE, command],
    });
    await shell.waitForExit();
    expect(shell.stdout()).toBe(`code ${code}\n`);
    expect(shell.stderr()).toBe('');
  });

  it('ends the pipe, and the next run writes what it did not get', async () => {
    const { dir, ...setup } = localSetup();
    // The second run waits for the first one's claim to run out: its write had an unknown outcome.
    const env = { ...setup.env, CLAIM_MS: '7000', STORE_TIMEOUT_MS: '1000' };
    const input = join(dir, 'events.ndjson');
    writeFileSync(input, `${changeEvent()}\n`);
    // `true` is gone before the pipe has anything to write.
    const script = `"$0" "$1" pipe --in "$2" | true; echo "code \${PIPESTATUS[0]}"`;
    const shell = startProcess({
      command: 'bash',
      args: ['-c', script, process.execPath, CLI_FILE, input],
      env,
    });
    await shell.waitForExit();
    expect(shell.stdout()).toBe('code 1\n');
    expect(shell.stderr()).toContain('standard output was closed by its reader');
    const again = await runCli(['pipe', '--in', input], { env });
    expect(again.code).toBe(0);
    expect(again.stdout.trim().split('\n')).toHaveLength(1);
    expect(again.stdout).toContain(REFERENCE);
  });
});

describe('reading commands', () => {
  it('tell what the database knows, and no value', async () => {
    const { env } = await appliedSetup();
    const list = await runCli(['connections', 'list', '--json'], { env });
    expect(jsonOf(list)).toMatchObject({
      items: [{ id: CONNECTION_ID, name: 'mysql-test', state: 'live', secretFields: 1 }],
      next: null,
      total: 1,
    });
    const none = await runCli(['connections', 'list', '--kind', 'search', '--json'], { env });
    expect(jsonOf(none)).toEqual({ items: [], next: null, total: 0 });

    const show = await runCli(['connections', 'show', CONNECTION_ID, '--json'], { env });
    expect(jsonOf(show)).toMatchObject({
      revision: 1,
      secretFields: [
        { path: '/connection/config/password', owned: true, keptIn: 'store', reference: REFERENCE },
      ],
      entity: { connection: { config: { username: 'reader', password: '*********' } } },
    });
    const audit = await runCli(['audit', 'list', '--action', 'create', '--since', '1h', '--json'], { env });
    expect(jsonOf(audit)).toMatchObject({
      items: [{ action: 'create', actor: 'admin', connectionId: CONNECTION_ID }],
    });
    const applied = await runCli(['audit', 'list', '--action', 'apply', '--actor', 'admin', '--json'], {
      env,
    });
    const fields = { secret: ['/connection/config/password'], more: 0 };
    expect(jsonOf(applied)).toMatchObject({
      items: [{ action: 'apply', connectionId: CONNECTION_ID, fields }],
    });
    expect(jsonOf(await runCli(['audit', 'list', '--actor', 'nobody', '--json'], { env }))).toMatchObject({
      items: [],
    });
    const status = await runCli(['database', 'status', '--json'], { env });
    expect(jsonOf(status)).toMatchObject({ pending: [], unknown: [] });
    const doctor = await runCli(['doctor', '--json'], { env });
    expect(doctor.code).toBe(0);
    expect(jsonOf(doctor)).toMatchObject({ ok: true });

    const texts = await Promise.all(
      [['connections', 'list'], ['connections', 'show', CONNECTION_ID], ['audit', 'list'], ['doctor']].map(
        (args) => runCli(args, { env }),
      ),
    );
    for (const result of [list, show, audit, status, doctor, ...texts]) {
      expect(result.code).toBe(0);
      expect(result.stdout + result.stderr).not.toContain(MARKER);
    }
  });

  it('mask what the rules left in the entity (SECRET_BY_NAME=report)', async () => {
    const { env } = localSetup();
    const event = changeEvent().replace(
      '"username":"reader"',
      `"username":"reader","vendorApiToken":"${MARKER}"`,
    );
    const reporting = { ...env, SECRET_BY_NAME: 'report' };
    const piped = await runCli(['pipe'], { env: reporting, input: event });
    expect(piped.code).toBe(0);
    for (const format of [[], ['--json']]) {
      const shown = await runCli(['connections', 'show', CONNECTION_ID, ...format], { env: reporting });
      expect(shown.stdout).toContain('"vendorApiToken": "*********"');
      expect(shown.stdout).not.toContain(MARKER);
    }
  });

  it('work beside a process that works on the database', async () => {
    const { env } = await appliedSetup();
    const pipe = startCli(['pipe'], env);
    pipe.write(
      `${changeEvent({ id: '55555555-0000-4000-8000-000000000001', eventId: 'e2', name: 'other' })}\n`,
    );
    await pipe.waitForLine('"outcome":"applied"', { stream: 'stderr' });
    const list = await runCli(['connections', 'list', '--json'], { env });
    expect(jsonOf(list)).toMatchObject({ total: 2 });
    const second = await runCli(['pipe'], { env });
    expect(second.code).toBe(2);
    expect(second.stderr).toContain('error: DATABASE_IN_USE:');
    pipe.end();
    expect((await pipe.waitForExit()).code).toBe(0);
  });

  it('make no database where there is none', async () => {
    const { env, databaseFile } = localSetup();
    for (const args of [
      ['connections', 'list'],
      ['audit', 'list'],
      ['database', 'status'],
    ]) {
      const result = await runCli(args, { env });
      expect(result.code).toBe(2);
      expect(result.stderr).toContain('does not exist');
    }
    expect(existsSync(databaseFile)).toBe(false);
  });

  it('end with 2 for a connection that is not known', async () => {
    const { env } = await appliedSetup();
    const result = await runCli(['connections', 'show', 'nobody'], { env });
    expect(result).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('resolve', () => {
  it('prints a value a line: by name, of a sealed reference and of a sealed value', async () => {
    const { env } = await appliedSetup();
    const ring = KeyRing.parse('FERNET_KEY', env['FERNET_KEY']!);
    const args = ['resolve', REFERENCE, sealText(ring, REFERENCE), sealText(ring, 'äö')];
    const result = await runCli(args, { env });
    expect(result).toMatchObject({ code: 0, stdout: `${MARKER}\n${MARKER}\näö\n`, stderr: '' });
    const json = await runCli([...args, '--json'], { env });
    expect(jsonOf(json)).toMatchObject({
      items: [{ reference: REFERENCE, value: MARKER }, { value: MARKER }, { value: 'äö' }],
    });
  });

  it('prints nothing where one of them cannot be resolved, and names it', async () => {
    const { env } = await appliedSetup();
    const missing = 'secret:/openmetadata/database/none/password';
    const result = await runCli(['resolve', REFERENCE, missing], { env });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toContain(`error: SECRET_NOT_FOUND: ${missing}`);
    const token = await runCli(['resolve', 'fernet:gAAAAABnotatoken'], { env });
    expect(token).toMatchObject({ code: 1, stdout: '' });
    expect(token.stderr).toContain('error: TOKEN_NOT_OPENED: fernet:gAAAAABnotatoken');
  });

  it('never repeats what is no reference', async () => {
    const { env } = await appliedSetup();
    const result = await runCli(['resolve', MARKER], { env });
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('argument 1');
    expect(result.stderr).not.toContain(MARKER);
  });

  it('has no store to ask under db', async () => {
    const { env } = localSetup();
    const result = await runCli(['resolve', REFERENCE], { env: { ...env, SECRET_MANAGER: 'db' } });
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toContain(REFERENCE);
  });
});

describe('database', () => {
  it('migrates and reverts, and does not lose connections unasked', async () => {
    const { env } = await createEnv();
    expect((await runCli(['database', 'migrate'], { env })).code).toBe(0);
    const again = await runCli(['database', 'migrate'], { env });
    expect(again.stdout).toBe('The schema is up to date.\n');
    expect((await runCli(['database', 'revert'], { env })).stdout).toContain('undone ');

    const full = await appliedSetup();
    const refused = await runCli(['database', 'revert'], { env: full.env });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/error: NOT_CONFIRMED: .* holds 1 connection: .*\n.*--yes/);
    expect((await runCli(['connections', 'list'], { env: full.env })).stdout).toContain(CONNECTION_ID);
    expect((await runCli(['database', 'revert', '--yes'], { env: full.env })).code).toBe(0);
  });
});

describe('doctor', () => {
  it('fails with the remedy where the key is another one', async () => {
    const { env } = await appliedSetup();
    const result = await runCli(['doctor', '--json'], {
      env: { ...env, FERNET_KEY: localSetup().env['FERNET_KEY']! },
    });
    expect(result.code).toBe(1);
    expect(jsonOf(result)).toMatchObject({ ok: false });
    const { checks } = jsonOf(result) as { checks: { code: string | null; remedy: string | null }[] };
    const failed = checks.find(({ code }) => code === 'KEY_MISMATCH');
    expect(failed?.remedy).toContain('Start with the key');
  });

  it('ends with 2 where the configuration is wrong, 1 where no broker answers', async () => {
    expect((await runCli(['doctor'])).code).toBe(2);
    const { env } = localSetup();
    const result = await runCli(['doctor'], { env: { ...env, KAFKA_BROKERS: '127.0.0.1:1' } });
    expect(result.code).toBe(1);
    expect(result.stdout).toContain('FAILED  broker: connecting to the broker failed');
  });

  it('warns for a week of source records that were missed, and says what to do', async () => {
    const { env, databaseFile } = await appliedSetup();
    const database = await Database.open(
      { address: { type: 'sqlite', file: databaseFile }, poolSize: 1 },
      { access: 'write' },
    );
    const at = { topic: 'connection.updated', partition: 3 } as const;
    const expired = { ...at, reason: 'expired', from: 5, to: 15 } as const;
    await recordMissed(database, expired, 'tested');
    await recordMissed(database, { ...at, partition: 4, reason: 'recreated', from: 0, to: 60 }, 'tested');
    const week = 7 * 86_400_000;
    const value = JSON.stringify({ ...expired, partition: 5, atMs: Date.now() - week - 60_000 });
    await database.run(({ manager, tables }) =>
      manager.insert(tables.setting, { name: 'missed/old', value }),
    );
    await database.close();
    const result = await runCli(['doctor', '--json'], { env });
    expect(result.code).toBe(0);
    const { checks } = jsonOf(result) as { checks: { check: string; detail: string; remedy: string }[] };
    const warnings = checks.filter(({ check }) => check === 'topic connection.updated');
    expect(warnings.map(({ detail, remedy }) => [detail.split(', seen')[0], remedy]).toSorted()).toEqual([
      [
        'partition 3: offsets 5 to 14 were missed (expired)',
        'Publish the entities that changed in that time again.',
      ],
      [
        'partition 4: offsets 0 to 59 were missed (recreated)',
        'Nothing: they are read from the beginning. See `audit list --action miss`.',
      ],
    ]);
  });

  it('makes neither database nor vault', async () => {
    const { env, databaseFile } = localSetup();
    expect((await runCli(['doctor'], { env })).code).toBe(0);
    expect(existsSync(databaseFile)).toBe(false);
    expect(existsSync(databaseFile.replace('.sqlite', '.vault'))).toBe(false);
  });
});

describe('catalog and generate-key', () => {
  it('shows the secret fields of a connector by either name', async () => {
    const short = await runCli(['catalog', 'show', 'mysql', '--json']);
    const long = await runCli(['catalog', 'show', 'database/Mysql', '--json']);
    expect(jsonOf(short)).toEqual(jsonOf(long));
    expect(short.stdout).toContain('authType.password');
    expect((await runCli(['catalog', 'show', 'nothing'])).code).toBe(2);
  });

  it('builds a catalogue from schemas', async () => {
    const { dir } = localSetup();
    const folder = join(dir, 'entity', 'services', 'connections', 'database');
    const { mkdirSync } = await import('node:fs');
    mkdirSync(folder, { recursive: true });
    const schema = { properties: { password: { type: 'string', format: 'password' } } };
    writeFileSync(join(folder, 'tinyConnection.json'), JSON.stringify(schema));
    const out = join(dir, 'catalogue.json');
    const result = await runCli([
      'catalog',
      'build',
      '--schemas',
      dir,
      '--out',
      out,
      '--schema-version',
      '9.9',
    ]);
    expect(result.code).toBe(0);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({
      provenance: { versions: ['9.9'] },
      connectors: { 'database/tiny': ['password'] },
    });
    const shown = await runCli(['catalog', 'show', 'tiny'], { env: { CATALOG_FILE: out } });
    expect(shown.stdout).toContain('password');
    expect(shown.stderr).toBe('The catalogue is of org.open-metadata:openmetadata-spec, 9.9 (Apache-2.0)\n');
  });

  it('makes keys that are accepted, another one each time', async () => {
    const keys = await Promise.all([runCli(['generate-key']), runCli(['generate-key'])]);
    expect(new Set(keys.map(({ stdout }) => stdout)).size).toBe(2);
    for (const { stdout } of keys) expect(KeyRing.parse('KEY', stdout.trim()).size).toBe(1);
  });
});

async function createEnv(): Promise<{ env: Record<string, string> }> {
  const { url } = await createDatabase('sqlite');
  return { env: { DATABASE_URL: url } };
}

describe('doctor --restored', () => {
  it('gives the database a newer generation, which the next secured event has', async () => {
    const setup = await appliedSetup();
    const outFile = join(setup.dir, 'out.ndjson');
    const doctor = await runCli(['doctor', '--restored', '--json'], { env: setup.env });
    const { checks } = JSON.parse(doctor.stdout) as { checks: { check: string; result: string }[] };
    expect(checks[0]).toMatchObject({ check: 'restored', result: 'ok' });
    const second = changeEvent({
      eventId: 'second',
      eventType: 'entityUpdated',
      timestampMs: 1_790_000_000_001,
    });
    await runCli(['pipe', '--out', outFile], { env: setup.env, input: `${second}\n` });
    const generations = readFileSync(outFile, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { data: { generation: number } }).data.generation);
    expect(generations).toHaveLength(2);
    expect(generations[1]).toBeGreaterThan(generations[0] ?? Infinity);
  });

  it('is refused where there is no database of ours yet', async () => {
    const setup = localSetup();
    expect((await runCli(['doctor', '--restored'], { env: setup.env })).code).toBe(2);
    expect(existsSync(setup.databaseFile)).toBe(false);
  });
});
