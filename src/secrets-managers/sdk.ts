import { ConfigurationError } from '../errors.js';

/**
 * What a dynamic import gives. The package for readers installs no SDK of a provider: who reads from a store installs
 * the one of that store.
 *
 * @param packages what the imported module needs
 * @throws ConfigurationError CONFIG_INVALID with the command that installs them, where one is missing
 */
export async function loaded<T>(module: Promise<T>, packages: readonly string[]): Promise<T> {
  try {
    return await module;
  } catch (error) {
    const missing = missingPackage(error);
    if (missing === null || !packages.includes(missing)) throw error;
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `the package ${missing} is not installed. Install what this store needs: npm install ${packages.join(' ')}`,
    );
  }
}

function missingPackage(error: unknown): string | null {
  if (!(error instanceof Error && 'code' in error)) return null;
  if (error.code !== 'MODULE_NOT_FOUND' && error.code !== 'ERR_MODULE_NOT_FOUND') return null;
  const [, name] = /^Cannot find (?:module|package) '((?:@[^/']+\/)?[^/']+)/.exec(error.message) ?? [];
  return name ?? null;
}
