import { ConfigurationError } from './errors.js';

/**
 * SQLite is a native module: it runs under the Node.js that it was built for, or under none where its build is missing.
 *
 * @returns the error as NATIVE_MODULE_UNUSABLE where the module could not be loaded; null for any other error
 */
export function nativeModuleError(error: unknown): ConfigurationError | null {
  if (!(error instanceof Error)) return null;
  // `tries`: where the loader has looked in vain for the file.
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
