import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, SettingsError } from '../../../src/config.js';
import { MAX_SECRET_FILE_BYTES } from '../../../src/config/secret-file.js';
import { SETTING_NAMES, SETTINGS } from '../../../src/config/settings.js';
import { generateKey } from '../../../src/fernet/index.js';
import { ingestionFromEnv } from '../../../src/ingestion/index.js';
import { publisherFromEnv } from '../../../src/publisher/index.js';
import { tmpDir } from '../../harness/index.js';
import { CANARY, KEY } from './wrong-settings.js';

const KAFKA = { KAFKA_BROKERS: 'kafka-1:9092' };

function fileOf(content: string): string {
  const file = join(tmpDir('secret'), 'value');
  writeFileSync(file, content);
  return file;
}

function problemsOf(env: Record<string, string>): unknown {
  try {
    loadConfig({ ...KAFKA, ...env });
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  throw new Error('accepted');
}

describe('a secret setting in a file', () => {
  it.each(['', '\n', '\r\n'])('is its content, but for one line break at the end: %j', (end) => {
    const { keys, warnings } = loadConfig({ ...KAFKA, FERNET_KEY_FILE: fileOf(`${KEY}${end}`) });
    expect(
      keys.database.open(loadConfig({ ...KAFKA, FERNET_KEY: KEY }).keys.database.seal('x')),
    ).toBeTruthy();
    expect(warnings).toEqual([]);
  });

  it('keeps every other character', () => {
    const password = ' pass\nword \n';
    const sasl = { KAFKA_SASL_MECHANISM: 'scram-sha-512', KAFKA_SASL_USERNAME: 'u', KAFKA_SSL: 'true' };
    const given = { ...KAFKA, ...sasl, FERNET_KEY: KEY, KAFKA_SASL_PASSWORD_FILE: fileOf(`${password}\n`) };
    const { kafka } = loadConfig(given);
    expect(kafka.sasl).toMatchObject({ mechanism: 'scram-sha-512' });
    if (kafka.sasl?.mechanism !== 'scram-sha-512') throw new Error('no login');
    expect(kafka.sasl.password.reveal()).toBe(password);
  });

  it('is there for each of them; an empty variable is an unset one', () => {
    const secrets = SETTING_NAMES.filter((name) => SETTINGS[name].secret === true);
    expect(secrets.length).toBeGreaterThan(5);
    for (const name of secrets.filter((each) => each !== 'KAFKA_SASL_OAUTHBEARER_TOKEN')) {
      const nowhere = join(tmpDir('secret'), 'nowhere');
      expect(
        problemsOf({ FERNET_KEY: name === 'FERNET_KEY' ? '' : KEY, [`${name}_FILE`]: nowhere }),
      ).toContainEqual({
        name,
        message: `${name}_FILE must be the path of a file that exists and can be read`,
      });
    }
    expect(loadConfig({ ...KAFKA, FERNET_KEY: KEY, FERNET_KEY_FILE: '' }).keys).toBeDefined();
  });

  it('is refused beside its own variable, empty, too large, or a folder; the message has no word of it', () => {
    const folder = join(tmpDir('secret'), 'folder');
    mkdirSync(folder);
    const cases: [Record<string, string>, RegExp][] = [
      [{ FERNET_KEY: KEY, FERNET_KEY_FILE: fileOf(CANARY) }, /FERNET_KEY_FILE is set beside it/],
      [{ FERNET_KEY_FILE: fileOf('\n') }, /FERNET_KEY_FILE is an empty file/],
      [{ FERNET_KEY_FILE: fileOf(CANARY.repeat(MAX_SECRET_FILE_BYTES / 10)) }, /at most 65536 bytes/],
      [{ FERNET_KEY_FILE: folder }, /FERNET_KEY_FILE must be the path of a file/],
      [{ FERNET_KEY_FILE: fileOf(CANARY) }, /key 1 is not 32 bytes/],
    ];
    for (const [env, message] of cases) {
      const problems = problemsOf(env);
      expect(problems).toEqual([{ name: 'FERNET_KEY', message: expect.stringMatching(message) as string }]);
      expect(JSON.stringify(problems)).not.toContain(CANARY);
    }
  });

  it('is one for the libraries, too', () => {
    const key = generateKey();
    const file = fileOf(`${key}\n`);
    expect(publisherFromEnv({ ...KAFKA, PUBLISHER_FERNET_KEY_FILE: file }).fernetKeys).toBe(key);
    expect(ingestionFromEnv({ ...KAFKA, INGESTION_FERNET_KEY_FILE: file }).resolver.fernetKeys).toBe(key);
  });
});
