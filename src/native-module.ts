import { ConfigurationError } from './errors.js';

/**
 * From this Node.js on, better-sqlite3 12 aborts the process: an assertion of Node.js fails when it garbage-collects a
 * statement. Version 13 does not, but needs Node.js 22.
 */
const FIRST_THAT_ABORTS = 24;

/** @throws ConfigurationError NATIVE_MODULE_UNUSABLE if SQLite would abort the process sooner or later */
export function requireSqlite(): void {
  if (Number.parseInt(process.version.slice(1)) < FIRST_THAT_ABORTS) return;
  throw new ConfigurationError(
    'NATIVE_MODULE_UNUSABLE',
    `SQLite does not run in Node.js ${process.version}: better-sqlite3 12 aborts the process there`,
  );
}

/**
 * SQLite is a native module. It runs only in the Node.js version that it was built for, and only if it was built.
 *
 * @returns NATIVE_MODULE_UNUSABLE if the module could not be loaded; null for any other error
 */
export function nativeModuleError(error: unknown): ConfigurationError | null {
  if (!(error instanceof Error)) return null;
  // `tries`: the paths where the loader did not find the file.
  const unloadable = ('code' in error && error.code === 'ERR_DLOPEN_FAILED') || 'tries' in error;
  if (!unloadable) return null;
  const [, builtFor] = /NODE_MODULE_VERSION (\d+)/.exec(error.message) ?? [];
  const built = builtFor === undefined ? '' : `; it was built for NODE_MODULE_VERSION ${builtFor}`;
  const { version, versions, platform, arch } = process;
  return new ConfigurationError(
    'NATIVE_MODULE_UNUSABLE',
    `the native module better-sqlite3 does not load in Node.js ${version} (NODE_MODULE_VERSION ${versions.modules}, ${platform} ${arch})${built}`,
  );
}
