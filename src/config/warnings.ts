import { PROVIDER_SETTING_NAMES, PROVIDER_SETTINGS } from '../secrets-managers/providers.js';
import { httpUrl } from '../setting/forms.js';
import { sharedKeys } from './checks.js';
import { secretFileName } from './secret-file.js';
import { SETTING_NAMES, type SettingValues } from './settings.js';

/** Names that differ in more characters than this are not ours. */
const MAX_EDITS = 2;

/** Warnings about what is accepted but looks wrong. They contain names, never values. */
export function warningsFor(env: NodeJS.ProcessEnv, values: SettingValues): string[] {
  return [...nearMisses(Object.keys(env)), ...plainTextWarnings(values), ...keyWarnings(values)];
}

/** Variables whose names are almost those of settings: FERNET_KEYS, KAFKA_BROKER, SECRETS_MANAGER. */
function nearMisses(names: readonly string[]): string[] {
  const known = new Set<string | null>(SETTING_NAMES.flatMap((name) => [name, secretFileName(name)]));
  return names.flatMap((name) => {
    if (known.has(name)) return [];
    const meant = SETTING_NAMES.find((each) => isNear(name.toUpperCase(), each));
    return meant === undefined ? [] : [`${name} is not a setting; is ${meant} meant?`];
  });
}

function isNear(name: string, known: string): boolean {
  // In a short name two letters are a third of it: only one may differ.
  const allowed = known.length < 12 ? 1 : MAX_EDITS;
  return Math.abs(name.length - known.length) <= allowed && editDistance(name, known) <= allowed;
}

/** Levenshtein distance. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

/** Two settings may share a key while a separate key is introduced. Otherwise it is a mistake: they protect nothing from each other. */
function keyWarnings(values: SettingValues): string[] {
  const { INGESTION_FERNET_KEY: ingestion, DEAD_LETTER_FERNET_KEY: deadLetter } = values;
  const shared = [
    ...(ingestion === null
      ? []
      : sharedKeys('INGESTION_FERNET_KEY', ingestion, values, ['FERNET_KEY', 'DEAD_LETTER_FERNET_KEY']).map(
          (where) => `INGESTION_FERNET_KEY: ${where}`,
        )),
    ...(deadLetter === null
      ? []
      : sharedKeys('DEAD_LETTER_FERNET_KEY', deadLetter, values, ['FERNET_KEY']).map(
          (where) => `DEAD_LETTER_FERNET_KEY: ${where}`,
        )),
  ];
  return shared.map((where) => `${where}: who has one of them can open what is sealed with the other`);
}

function plainTextWarnings(values: SettingValues): string[] {
  const warnings: string[] = [];
  for (const name of PROVIDER_SETTING_NAMES) {
    const url = values[name];
    const isAddress = PROVIDER_SETTINGS[name].form === httpUrl.form && typeof url === 'string';
    if (isAddress && new URL(url).protocol === 'http:' && !isLoopback(new URL(url).hostname)) {
      warnings.push(`${name} is http: values travel unencrypted`);
    }
  }
  if (values.KAFKA_SASL_MECHANISM === 'plain' && !values.KAFKA_SSL) {
    warnings.push('KAFKA_SASL_MECHANISM=plain without KAFKA_SSL=true: the password travels unencrypted');
  }
  return warnings;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}
