import { ConfigurationError } from './errors.js';
import { assemble, type AnyConfig } from './config/assemble.js';
import { crossChecks, type Need } from './config/checks.js';
import type { Problem } from './setting/setting.js';
import { withSecretFiles } from './config/secret-file.js';
import { SETTING_NAMES, SETTINGS, type SettingName, type SettingValues } from './config/settings.js';
import { warningsFor } from './config/warnings.js';
import { unsafeFlagsIn } from './unsafe-flags.js';

export { withSecretFiles } from './config/secret-file.js';
export type { DatabaseAddress, DatabaseTls, ServerAddress } from './config/database-url.js';
export type { ConnectorPath } from './setting/forms.js';

/** The configuration of a command that needs the parts `N`. `Config<never>`: the parts that every command has. */
export type Config<N extends Need = Need> = AnyConfig & { readonly [K in N]: NonNullable<AnyConfig[K]> };
export type KeyConfig = Config['keys'];
export type KafkaConfig = Config['kafka'];

/** All mistakes of a configuration at once; `message` has one line for each. */
export class SettingsError extends ConfigurationError {
  readonly problems: readonly Problem[];

  constructor(code: 'CONFIG_INVALID' | 'UNSAFE_DEBUG_FLAG', problems: readonly Problem[]) {
    const lines = problems.map(({ name, message }) => `  ${name}: ${message}`);
    const count = problems.length === 1 ? 'one mistake' : `${problems.length} mistakes`;
    super(code, [`The configuration has ${count}:`, ...lines].join('\n'));
    this.problems = problems;
  }
}

const ALL: readonly Need[] = ['keys', 'kafka'];

/**
 * Reads and validates the configuration: every setting by itself, then the settings together.
 *
 * @param env the environment; variables that are not ours are ignored. An empty variable counts as unset
 * @param need parts that must be configured; default: all. Every setting that is set is validated in any case
 * @returns a frozen configuration whose secret members do not print themselves
 * @throws SettingsError `UNSAFE_DEBUG_FLAG` if a debug flag would print the contents of records, else `CONFIG_INVALID`. It
 *   lists all mistakes with the variable's name and what to do, and never repeats a variable's text
 */
export function loadConfig<N extends Need = Need>(
  env: NodeJS.ProcessEnv,
  { need }: { readonly need: readonly N[] } = { need: ALL as readonly N[] },
): Config<N> {
  const flags = unsafeFlagsIn(env);
  const files = withSecretFiles(env);
  const { values, problems } = readSettings(files.env, files.problems);
  const failed = new Set(problems.map((problem) => problem.name));
  const all = [
    ...flags.map((name) => ({ name, message: 'prints the contents of records, also passwords; unset it' })),
    ...problems,
    ...crossChecks(values, failed, need),
  ];
  if (all.length > 0) throw new SettingsError(flags.length > 0 ? 'UNSAFE_DEBUG_FLAG' : 'CONFIG_INVALID', all);
  // Without problems every setting has a value.
  const complete = values as SettingValues;
  // `crossChecks` has checked that the needed parts are there.
  return deepFreeze(assemble(complete, warningsFor(env, complete))) as Config<N>;
}

/** Reads each setting by itself: a wrong one does not stop the checks of the others. */
function readSettings(
  env: NodeJS.ProcessEnv,
  found: readonly Problem[],
): { values: Partial<SettingValues>; problems: Problem[] } {
  const values: Partial<Record<SettingName, unknown>> = {};
  const problems = [...found];
  for (const name of SETTING_NAMES) {
    if (found.some((problem) => problem.name === name)) continue;
    const result = SETTINGS[name].schema.safeParse(env[name]);
    if (result.success) values[name] = result.data;
    else problems.push(...result.error.issues.map(({ message }) => ({ name, message })));
  }
  return { values: values as Partial<SettingValues>, problems };
}

/** Freezes plain objects and arrays; key rings and secret values guard themselves. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain) return value;
  for (const member of Object.values(value)) deepFreeze(member);
  return Object.freeze(value);
}
