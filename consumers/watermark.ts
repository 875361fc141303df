/**
 * How far one partition is done: records finish in any order, an offset may be committed only when everything before
 * it is finished. Kafka keeps one number per partition, so this is the number.
 *
 * Offsets have gaps (compaction, transaction markers); only the ones that {@link begin} names are waited for.
 */
export class Watermark {
  /** Offsets begun and not yet passed, rising; `head` is the first of them still in the way. */
  #begun: number[] = [];
  #head = 0;
  readonly #completed = new Set<number>();
  #position: number;
  #end: number | null = null;

  /** @param start offset of the first record that may be begun */
  constructor(start: number) {
    this.#position = start;
  }

  /** Everything before this offset is finished: what to commit, and where to read on after a failure. */
  get position(): number {
    return this.#position;
  }

  /** Begins a record. Offsets must rise. */
  begin(offset: number): void {
    const last = this.#begun.at(-1);
    if (offset < this.#position || (last !== undefined && offset <= last)) {
      throw new RangeError('offsets must rise');
    }
    this.#begun.push(offset);
  }

  complete(offset: number): void {
    this.#completed.add(offset);
    this.#advance();
  }

  /**
   * Tells that no record follows up to `nextOffset`, exclusive: the gap behind the last record belongs to what is done
   * as soon as all that was begun is.
   */
  end(nextOffset: number): void {
    this.#end = nextOffset;
    this.#advance();
  }

  #advance(): void {
    let next = this.#begun[this.#head];
    while (next !== undefined && this.#completed.delete(next)) {
      this.#position = next + 1;
      this.#head += 1;
      next = this.#begun[this.#head];
    }
    if (next !== undefined) return;
    this.#begun = [];
    this.#head = 0;
    if (this.#end !== null) this.#position = Math.max(this.#position, this.#end);
  }
}
