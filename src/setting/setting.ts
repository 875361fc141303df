import { z } from 'zod';

/** A text that a setting refuses. The message says what to do and never repeats the text. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** One mistake: the variable, and what to do. Never its text. */
export interface Problem {
  readonly name: string;
  readonly message: string;
}

/** Settings by their names, and the values that they are read to. */
export type SettingTable = Readonly<Record<string, Setting<unknown>>>;
export type ValuesOf<T extends SettingTable> = { readonly [N in keyof T]: z.output<T[N]['schema']> };

/** How a text becomes a value. `parse` throws {@link Refusal}. */
export interface Form<T> {
  readonly form: string;
  readonly parse: (text: string) => T;
}

/** A setting: what reads it, and what docs/configuration.md says of it beside its name. */
export interface Setting<T> {
  readonly schema: z.ZodType<T, string | undefined>;
  readonly group: string;
  readonly meaning: string;
  /** The form a text must have. */
  readonly form: string;
  /** Taken where the variable is unset or empty; absent: null is. */
  readonly default?: string;
  readonly example?: string;
  /** Its text is never printed, neither here nor in an error. */
  readonly secret?: boolean;
}

type SettingOptions = Pick<Setting<unknown>, 'meaning' | 'default' | 'example' | 'secret'>;

/** Makes the settings of one group. A setting with a default is never null. */
export function settingsOf(group: string) {
  function setting<T>(form: Form<T>, options: SettingOptions & { readonly default: string }): Setting<T>;
  function setting<T>(form: Form<T>, options: SettingOptions): Setting<T | null>;
  function setting<T>({ form, parse }: Form<T>, options: SettingOptions): Setting<T | null> {
    const schema = z
      .string()
      .optional()
      .transform((given, context): T | null => {
        // An empty variable is an unset one: `VAR=` in a compose file means just that.
        const text = given === undefined || given.trim() === '' ? (options.default ?? null) : given;
        if (text === null) return null;
        try {
          return parse(options.secret === true ? text : text.trim());
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          context.addIssue({ code: 'custom', message: error.message });
          return z.NEVER;
        }
      });
    return { schema, group, form, ...options };
  }
  return setting;
}
