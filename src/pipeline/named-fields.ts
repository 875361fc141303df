import { isSecretKeyText } from '../catalog/field-rules.js';
import { formatPointer, parsePointer } from '../catalog/json-pointer.js';

/** Fields of an entity by their JSON Pointers, for the audit: no values, and never more than a row may hold. */
export interface NamedFields {
  readonly plain: readonly string[];
  readonly secret: readonly string[];
  /** How many there are besides. */
  readonly more: number;
}

const MOST_FIELDS = 100;
const MOST_CHARACTERS = 8_192;
const LONGEST_KEY = 100;

/** Collects pointers up to a bound and counts the rest. Secret fields go first: call for them before the plain ones. */
export class FieldNames {
  readonly #names = { plain: [] as string[], secret: [] as string[] };
  readonly #hides: (key: string) => boolean;
  #more = 0;
  #characters = 0;

  /** @param hides keys that must not be shown: they quote a secret */
  constructor(hides: (key: string) => boolean = () => false) {
    this.#hides = hides;
  }

  add(kind: 'plain' | 'secret', pointer: () => string): void {
    const count = this.#names.plain.length + this.#names.secret.length;
    if (count >= MOST_FIELDS || this.#characters >= MOST_CHARACTERS) {
      this.#more += 1;
      return;
    }
    const shown = this.#shown(pointer());
    if (this.#characters + shown.length > MOST_CHARACTERS) {
      this.#more += 1;
      return;
    }
    this.#characters += shown.length;
    this.#names[kind].push(shown);
  }

  get isEmpty(): boolean {
    return this.#names.plain.length + this.#names.secret.length + this.#more === 0;
  }

  get fields(): NamedFields {
    return { ...this.#names, more: this.#more };
  }

  /** Keys come from events and may hold anything. */
  #shown(pointer: string): string {
    const keys = parsePointer(pointer) ?? [];
    return formatPointer(
      keys.map((key) => {
        if (isSecretKeyText(key) || this.#hides(key)) return '[hidden]';
        return key.length > LONGEST_KEY ? `${key.slice(0, LONGEST_KEY).toWellFormed()}…` : key;
      }),
    );
  }
}
