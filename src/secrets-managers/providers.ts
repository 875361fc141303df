import { ConfigurationError } from '../errors.js';
import type { ValuesOf } from '../setting/setting.js';
import type { ManagerName } from '../terms.js';
import { awsSecretsManager } from './aws-secrets-manager/provider.js';
import { awsSsm } from './aws-ssm/provider.js';
import { inMemory } from './in-memory/provider.js';
import { local } from './local/provider.js';
import { db } from './sealed/provider.js';
import type { ManagerSettings } from './settings.js';
import { vault } from './vault/provider.js';

/** All of them, in the order of docs and `--help`. */
export const PROVIDERS = [db, inMemory, local, awsSecretsManager, awsSsm, vault] as const;
/** Values stay in the database: the default, and what everything starts from. */
export const DEFAULT_MANAGER: ManagerName = db.name;
/** Where a reader looks up what comes without an event. */
export const DEFAULT_READER = awsSecretsManager.name;

export type AnyProvider = (typeof PROVIDERS)[number];
type Intersection<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void
  ? I
  : never;
type ProviderSettings = Intersection<AnyProvider['settings']>;
/** What the settings of all providers are read to. */
export type ProviderValues = ValuesOf<ProviderSettings>;
export type AnyManagerSettings = ManagerSettings<ProviderValues>;

/** The settings of all providers, by their names; providers may share some. */
export const PROVIDER_SETTINGS = Object.assign(
  {},
  ...PROVIDERS.map(({ settings }) => settings),
) as ProviderSettings;
export const PROVIDER_SETTING_NAMES = Object.keys(PROVIDER_SETTINGS) as (keyof ProviderSettings)[];

export const MANAGER_NAMES: readonly ManagerName[] = PROVIDERS.flatMap(({ managers }) =>
  Object.keys(managers),
);
export const MANAGER_ALIASES: Readonly<Record<string, ManagerName>> = Object.assign(
  {},
  ...PROVIDERS.map(({ aliases }) => aliases),
) as Record<string, ManagerName>;

/**
 * The provider of a manager: a managed and a non-managed one share theirs, and the store in which names are looked up.
 * @throws ConfigurationError MANAGER_MISMATCH for a name that only a newer version knows
 */
export function providerOf(manager: ManagerName): AnyProvider {
  const found = PROVIDERS.find(({ managers }) => Object.hasOwn(managers, manager));
  if (found !== undefined) return found;
  throw new ConfigurationError('MANAGER_MISMATCH', `this version knows no secrets manager ${manager}`);
}

/** The provider that a secured event names, if its store can be read from elsewhere. */
export function readableProvider(name: string): { provider: AnyProvider; manager: ManagerName } | null {
  const found = PROVIDERS.find((one) => one.name === name && one.isLasting);
  const [manager] = Object.entries(found?.managers ?? {}).find(([, keeps]) => keeps === 'store') ?? [];
  return found === undefined || manager === undefined ? null : { provider: found, manager };
}

/**
 * Values of all providers' settings from texts.
 * @throws ConfigurationError CONFIG_INVALID naming the setting, never its text
 */
export function readProviderValues(texts: Readonly<Record<string, string | undefined>>): ProviderValues {
  const values = PROVIDER_SETTING_NAMES.map((name) => {
    const result = PROVIDER_SETTINGS[name].schema.safeParse(texts[name]);
    if (result.success) return [name, result.data] as const;
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `${name}: ${result.error.issues[0]?.message ?? 'is wrong'}`,
    );
  });
  return Object.fromEntries(values) as ProviderValues;
}
