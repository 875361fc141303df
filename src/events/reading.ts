import type { EventError } from '../errors.js';
import type { Json } from '../terms.js';
import { DEFAULT_JSON_LIMITS, readJson } from './json.js';

/** The JSON texts of one record: remembers the first refusal, so that ids can still be read before it is thrown. */
export class Reading {
  #problem: EventError | null = null;
  #ambiguous = false;

  /** @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_DEEP` */
  json(input: Buffer | string, at: string): Json {
    const reading = readJson(input, DEFAULT_JSON_LIMITS, at);
    this.#problem ??= reading.problem;
    this.#ambiguous ||= reading.ambiguous;
    return reading.value;
  }

  get problem(): EventError | null {
    return this.#problem;
  }

  /** Some key came twice: ids read from this record may be the wrong ones. */
  get ambiguous(): boolean {
    return this.#ambiguous;
  }
}
