import type { EventError } from '../errors.js';
import type { Json } from '../terms.js';
import { DEFAULT_JSON_LIMITS, readJson, type JsonLimits } from './json.js';

/** The JSON texts of one record: remembers the first refusal, so that ids can still be read before it is thrown. */
export class Reading {
  #problem: EventError | null = null;
  #ambiguous = false;

  constructor(readonly limits: JsonLimits = DEFAULT_JSON_LIMITS) {}

  /** @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP` */
  json(input: Buffer | string, at: string): Json {
    const reading = readJson(input, this.limits, at);
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
