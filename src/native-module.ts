import { ConfigurationError } from './errors.js';

/**
 * The first Node.js under which better-sqlite3 12 aborts the process: when a statement is collected, Node.js asserts what
 * does not hold there. Version 13 does not, and needs Node.js 22.
 */
const FIRST_THAT_ABORTS = 24;

/** @throws ConfigurationError NATIVE_MODULE_UNUSABLE where SQLite would abort the process sooner or later */
export function requireSqlite(): void {
  if (Number.parseInt(process.version.slice(1)) < FIRST_THAT_ABORTS) return;
  throw new ConfigurationError(
    'NATIVE_MODULE_UNUSABLE',
    `SQLite does not run in Node.js ${process.version}: better-sqlite3 12 aborts the process there`,
  );
}

/**
 * SQLite is a native module: it runs under the Node.js that it was built for, or under none where its build is missing.
 *
 * @returns the error as NATIVE_MODULE_UNUSABLE where the module could not be loaded; null for any other error
 */
export function nativeModuleError(error: unknown): ConfigurationError | null {
  if (!(error instanceof Error)) return null;
  // `tries`: where the loader has looked for the file.
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
