import { inspect } from 'node:util';

const HIDDEN = '[secret]';

/**
 * A secret's text that does not print itself: `String()`, `JSON.stringify`, template strings, `util.inspect` and loggers
 * show `[secret]`. Only {@link reveal} returns the text, which is easy to find in a review.
 */
export class SecretValue {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text. Call it only where the text leaves this program, and keep the result in no object. */
  reveal(): string {
    return this.#text;
  }

  /** Length in bytes of UTF-8, as the stores' limits count. */
  get byteLength(): number {
    return Buffer.byteLength(this.#text, 'utf8');
  }

  equals(other: SecretValue): boolean {
    return this.#text === other.#text;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}
