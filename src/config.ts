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

/** The configuration of a command that needs these parts. `Config<never>`: what every command has. */
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
 * Reads and validates the configuration: every setting, and what several of them say together.
 *
 * @param env the environment; what is not ours in it is left alone. An empty variable is an unset one
 * @param need parts that must be configured. What is set is validated in any case. Default: everything
 * @returns a frozen configuration whose secret members do not print themselves
 * @throws SettingsError `UNSAFE_DEBUG_FLAG` where a debug flag would print record contents, else `CONFIG_INVALID`; it
 *   lists all mistakes by the variable's name with what to do, and never repeats a variable's text
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
    ...flags.map((name) => ({ name, message: 'prints record contents, passwords among them; unset it' })),
    ...problems,
    ...crossChecks(values, failed, need),
  ];
  if (all.length > 0) throw new SettingsError(flags.length > 0 ? 'UNSAFE_DEBUG_FLAG' : 'CONFIG_INVALID', all);
  // Without problems every setting has a value.
  const complete = values as SettingValues;
  // What is needed is there: `crossChecks` has seen it.
  return deepFreeze(assemble(complete, warningsFor(env, complete))) as Config<N>;
}

/** Each setting by itself, so that one that fails does not keep the others from being checked together. */
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
