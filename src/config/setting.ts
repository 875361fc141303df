import { z } from 'zod';

/** What docs/configuration.md says of a setting, beside its name. */
export interface SettingMeta {
  readonly group: string;
  readonly meaning: string;
  /** The form a text must have. */
  readonly form: string;
  /** Taken where the variable is unset or empty; null: none. */
  readonly default: string | null;
  readonly example: string | null;
  /** Its text is never printed, neither here nor in an error. */
  readonly secret: boolean;
}

/** Metadata of every setting's schema; docs/configuration.md is generated from it. */
export const settingRegistry = z.registry<SettingMeta>();

/** A text that a setting refuses. The message says what to do and never repeats the text. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** How a text becomes a value. `parse` throws {@link Refusal}. */
export interface Form<T> {
  readonly form: string;
  readonly parse: (text: string) => T;
}

export interface SettingOptions {
  readonly meaning: string;
  readonly default?: string;
  readonly example?: string;
  readonly secret?: boolean;
}

type SettingSchema<T> = z.ZodType<T, string | undefined>;

/** Makes the settings of one group. A setting with a default is never null. */
export function settingsOf(group: string) {
  function setting<T>(
    form: Form<T>,
    options: SettingOptions & { readonly default: string },
  ): SettingSchema<T>;
  function setting<T>(form: Form<T>, options: SettingOptions): SettingSchema<T | null>;
  function setting<T>(form: Form<T>, options: SettingOptions): SettingSchema<T | null> {
    const schema = z
      .string()
      .optional()
      .transform((given, context): T | null => {
        // An empty variable is an unset one: `VAR=` in a compose file means just that.
        const text = given === undefined || given.trim() === '' ? (options.default ?? null) : given;
        if (text === null) return null;
        try {
          return form.parse(options.secret === true ? text : text.trim());
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          context.addIssue({ code: 'custom', message: error.message });
          return z.NEVER;
        }
      });
    settingRegistry.add(schema, {
      group,
      meaning: options.meaning,
      form: form.form,
      default: options.default ?? null,
      example: options.example ?? null,
      secret: options.secret ?? false,
    });
    return schema;
  }
  return setting;
}
