/**
 * The offset of one partition that may be committed. Records finish in any order, and Kafka keeps one offset per
 * partition: everything before it must be finished.
 *
 * Offsets have gaps (compaction, transaction markers): only those passed to {@link begin} count.
 */
export class Watermark {
  /** The offsets begun, rising. `#head` is the index of the first one that is not finished. */
  #begun: number[] = [];
  #head = 0;
  readonly #completed = new Set<number>();
  #position: number;
  #end: number | null = null;

  /** @param start offset of the first record that may be begun */
  constructor(start: number) {
    this.#position = start;
  }

  /** Everything before this offset is finished: commit it, and read on here after a failure. */
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
   * Reports that no record follows before `nextOffset`. When all begun records are finished, the position moves there,
   * over the gap.
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
