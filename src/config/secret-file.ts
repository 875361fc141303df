import { readFileSync, statSync } from 'node:fs';
import { Refusal, type Problem } from '../setting/setting.js';
import { SETTING_NAMES, SETTINGS, type SettingName } from './settings.js';

/** Larger than any list of keys or any address. */
export const MAX_SECRET_FILE_BYTES = 64 * 1024;

/**
 * The environment with every secret setting that is given as a file (`FERNET_KEY_FILE`, as Docker and Kubernetes hand
 * secrets out) under its own name. One line break at a file's end is not part of the value.
 *
 * @returns also what is wrong, by the setting's name: given twice; no file, not readable, empty, larger than
 *   {@link MAX_SECRET_FILE_BYTES}
 */
export function withSecretFiles(given: NodeJS.ProcessEnv): { env: NodeJS.ProcessEnv; problems: Problem[] } {
  const env = { ...given };
  const problems: Problem[] = [];
  for (const name of SETTING_NAMES) {
    const fileName = secretFileName(name);
    const path = fileName === null ? '' : (given[fileName] ?? '').trim();
    if (fileName === null || path === '') continue;
    try {
      if ((given[name] ?? '').trim() !== '') throw new Refusal('is set beside it; keep one of them');
      env[name] = readSecretFile(path);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ name, message: `${fileName} ${error.message}` });
    }
  }
  return { env, problems };
}

/** Null: the setting is not secret, or the name with `_FILE` is a setting of its own. */
export function secretFileName(name: SettingName): string | null {
  const fileName = `${name}_FILE`;
  return SETTINGS[name].secret !== true || fileName in SETTINGS ? null : fileName;
}

function readSecretFile(path: string): string {
  const text = contentOf(path).replace(/\r?\n$/, '');
  if (text.trim() === '') throw new Refusal('is an empty file; put the value into it');
  return text;
}

function contentOf(path: string): string {
  let bytes: number;
  try {
    const stat = statSync(path);
    // Reading a pipe might never end.
    if (!stat.isFile()) throw new TypeError('no file');
    bytes = stat.size;
    if (bytes <= MAX_SECRET_FILE_BYTES) return readFileSync(path, 'utf8');
  } catch {
    throw new Refusal('must be the path of a file that exists and can be read');
  }
  throw new Refusal(`must be a file of at most ${MAX_SECRET_FILE_BYTES} bytes; it has ${bytes}`);
}
