import type { Problem, SettingTable, ValuesOf } from '../setting/setting.js';
import type { Capabilities, IdStyle, SecretStore, StoreLimits } from './port.js';
import type { ManagerDeps, ManagerSettings } from './settings.js';

/** An opened store, with what is only known then. */
export interface OpenedStore {
  readonly limits: StoreLimits;
  /** Where its names are looked up, for secured events: `region`, `account`, … Nothing of it is secret. */
  readonly location: Readonly<Record<string, string>>;
  /** Null: there is none, values stay with us. */
  readonly store: SecretStore | null;
}

/** What the configuration says beside a provider's own settings. */
export interface Scope {
  /** The configured one. */
  readonly manager: string;
  readonly prefix: string | null;
  readonly cluster: string;
}

/**
 * A provider: one folder, and one line in providers.ts. Configuration, commands, docs and the ingestion library know no
 * more of it than what stands here.
 */
export interface Provider<T extends SettingTable> {
  /** The word for logs, metrics and events: `store.provider` of a secured event. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /**
   * Its names as SECRET_MANAGER, and where values go under each: to the `store`; or they stay with us (`database`), and the
   * store is only read, for references that users typed.
   */
  readonly managers: Readonly<Record<string, 'store' | 'database'>>;
  /** Other words for those names. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly idStyle: IdStyle;
  readonly capabilities: Capabilities;
  /** Writes per second where SECRET_MANAGER_WRITES_PER_SECOND is unset: what a fresh account, or a small server, takes. */
  readonly writesPerSecond: number;
  /** What is kept outlives the process: something may be moved here. */
  readonly isLasting: boolean;
  readonly settings: T;
  /** Which setting a word of a secured event's `store` stands for: a reader looks where the event says. */
  readonly location: Readonly<Record<string, keyof T & string>>;
  /** Least permissions, by who needs them, as the store writes them. */
  readonly permissions: Readonly<Record<'worker' | 'verify' | 'ingestion', readonly string[]>>;
  /** npm packages that are loaded when it is opened; a missing one is named with its install command. */
  readonly packages: readonly string[];
  /** What is wrong between its settings. One that is wrong by itself is undefined, an unset one null. */
  readonly check?: (
    values: { readonly [N in keyof T]?: ValuesOf<T>[N] | undefined },
    scope: Scope,
  ) => Problem[];
  /** Why there is nothing to look at yet, where opening would make it; null: it can be opened. */
  readonly missing?: (settings: ManagerSettings<ValuesOf<T>>) => string | null;
  /** Makes no call. @throws ConfigurationError CONFIG_INVALID */
  readonly open: (settings: ManagerSettings<ValuesOf<T>>, deps: ManagerDeps) => Promise<OpenedStore>;
}

/** Infers the types of a provider's settings. */
export function provider<T extends SettingTable>(made: Provider<T>): Provider<T> {
  return made;
}

/** A provider that needs no settings. */
export const NO_SETTINGS = {};
/** A provider that asks no store. */
export const NO_PERMISSIONS = { worker: [], verify: [], ingestion: [] } as const;

/** Where one of two that belong together is set and the other is not. */
export function bothOrNone<N extends string>(
  values: Readonly<Partial<Record<N, unknown>>>,
  one: N,
  other: N,
): Problem[] {
  const [first, second] = [values[one], values[other]];
  if (first === undefined || second === undefined || (first === null) === (second === null)) return [];
  const [missing, present] = first === null ? [one, other] : [other, one];
  return [{ name: missing, message: `must be set, because ${present} is; set both or none` }];
}
