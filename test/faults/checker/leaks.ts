const MIN_LENGTH = 8;
const WINDOW = 4;
const FILTER_BITS = 22;

/**
 * Finds any of many texts in bytes in one pass: values as they are, and in the forms in which they like to hide (JSON,
 * URL, base64, hexadecimal). A filter over four bytes keeps the look-ups rare.
 */
export class ValueScanner {
  readonly #filter = new Uint8Array(2 ** FILTER_BITS);
  readonly #numberByForm = new Map<string, number>();
  readonly #lengths: readonly number[];

  /** @throws for a value that is too short to be told from other text */
  constructor(values: Iterable<string>) {
    const lengths = new Set<number>();
    let number = 0;
    for (const value of values) {
      if (value.length < MIN_LENGTH)
        throw new RangeError(`a value of less than ${MIN_LENGTH} characters cannot be looked for`);
      for (const form of formsOf(value)) {
        // Bytes as characters, so that a slice of a buffer compares without being decoded.
        const bytes = Buffer.from(form, 'utf8');
        this.#numberByForm.set(bytes.toString('latin1'), number);
        this.#filter[slot(bytes.readUInt32BE(0))] = 1;
        lengths.add(bytes.length);
      }
      number += 1;
    }
    this.#lengths = [...lengths].sort((a, b) => a - b);
  }

  /** Numbers (in the order given) of the values that are in it. */
  find(haystack: string | Buffer): number[] {
    const bytes = typeof haystack === 'string' ? Buffer.from(haystack, 'utf8') : haystack;
    const found = new Set<number>();
    let window = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      window = ((window << 8) | (bytes[at] ?? 0)) >>> 0;
      if (at < WINDOW - 1 || this.#filter[slot(window)] !== 1) continue;
      this.#lookUp(bytes, at - WINDOW + 1, found);
    }
    return [...found];
  }

  #lookUp(bytes: Buffer, start: number, found: Set<number>): void {
    for (const length of this.#lengths) {
      if (start + length > bytes.length) return;
      const number = this.#numberByForm.get(bytes.toString('latin1', start, start + length));
      if (number !== undefined) found.add(number);
    }
  }
}

function slot(window: number): number {
  return Math.imul(window, 0x9e3779b1) >>> (32 - FILTER_BITS);
}

function formsOf(value: string): ReadonlySet<string> {
  const json = JSON.stringify(value).slice(1, -1);
  const twice = JSON.stringify(json).slice(1, -1);
  const hex = Buffer.from(value, 'utf8').toString('hex');
  return new Set([value, json, twice, encodeURIComponent(value), hex, ...base64Forms(value)]);
}

/** In base64 of a longer text a value begins at one of three places; its outer characters depend on its neighbours. */
function base64Forms(value: string): string[] {
  const bytes = Buffer.from(value, 'utf8');
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replaceAll('=', '');
    const hasWholeEnd = (before + bytes.length) % 3 === 0;
    return text.slice([0, 2, 3][before], hasWholeEnd ? undefined : -1);
  });
}
