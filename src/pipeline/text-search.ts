/** From `start` to before `end`. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** Characters of all texts looked for, together: what the tables may grow to. */
const MOST_CHARACTERS = 200_000;
const SHORTEST = 8;
const LONGEST = 1_024;
const CODES = 65_536;

/**
 * Looks for many texts at once (Aho and Corasick's automaton): linear in what is searched and in what is looked for, however
 * alike those are. Of a text that is too long only the beginning is looked for; what follows it counts as found then.
 */
export class TextSearch {
  readonly #next = new Map<number, number>();
  /** By state: where to go on when nothing follows. */
  readonly #fallback: Int32Array;
  /** By state: how many characters of a text end here, 0: none. */
  readonly #found: Int32Array;
  readonly #isCut: Uint8Array;

  constructor(texts: readonly string[]) {
    const longest = Math.max(
      SHORTEST,
      Math.min(LONGEST, Math.floor(MOST_CHARACTERS / Math.max(1, texts.length))),
    );
    const parents = [0];
    const codes = [0];
    const ends: [number, number, boolean][] = [];
    const depths: number[][] = [];
    for (const text of texts) {
      let state = 0;
      const length = Math.min(text.length, longest);
      for (let at = 0; at < length; at += 1) {
        const code = text.charCodeAt(at);
        let next = this.#next.get(state * CODES + code);
        if (next === undefined) {
          next = parents.length;
          this.#next.set(state * CODES + code, next);
          parents.push(state);
          codes.push(code);
          (depths[at] ??= []).push(next);
        }
        state = next;
      }
      ends.push([state, length, length < text.length]);
    }
    this.#fallback = new Int32Array(parents.length);
    this.#found = new Int32Array(parents.length);
    this.#isCut = new Uint8Array(parents.length);
    for (const [state, length, isCut] of ends) {
      this.#found[state] = length;
      if (isCut) this.#isCut[state] = 1;
    }
    for (const states of depths)
      for (const state of states) this.#link(state, parents[state] ?? 0, codes[state] ?? 0);
  }

  /** Where any of them stands, in order, what overlaps or touches taken together. */
  find(text: string): TextRange[] {
    const ranges: { start: number; end: number }[] = [];
    let state = 0;
    for (let at = 0; at < text.length; at += 1) {
      state = this.#step(state, text.charCodeAt(at));
      const length = this.#found[state] ?? 0;
      if (length === 0) continue;
      const isCut = this.#isCut[state] === 1;
      add(ranges, { start: at + 1 - length, end: isCut ? text.length : at + 1 });
      if (isCut) break;
    }
    return ranges;
  }

  /** After its parent, which is shorter: all that is shorter has its links. */
  #link(state: number, parent: number, code: number): void {
    const fallback = parent === 0 ? 0 : this.#step(this.#fallback[parent] ?? 0, code);
    this.#fallback[state] = fallback;
    if (this.#found[state] === 0) {
      this.#found[state] = this.#found[fallback] ?? 0;
      this.#isCut[state] = this.#isCut[fallback] ?? 0;
    }
  }

  #step(from: number, code: number): number {
    for (let state = from; ; state = this.#fallback[state] ?? 0) {
      const next = this.#next.get(state * CODES + code);
      if (next !== undefined) return next;
      if (state === 0) return 0;
    }
  }
}

function add(ranges: { start: number; end: number }[], range: TextRange): void {
  let { start } = range;
  for (let last = ranges.at(-1); last !== undefined && last.end >= start; last = ranges.at(-1)) {
    start = Math.min(start, last.start);
    ranges.pop();
  }
  ranges.push({ start, end: range.end });
}
