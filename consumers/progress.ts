import { Watermark } from './watermark.js';

/** How far one assigned partition is read, handled and committed. A new one is made after every joining of the group. */
export class Progress {
  readonly topic: string;
  readonly partition: number;
  readonly #watermark: Watermark;
  #lastRead: number;
  #committed: number;
  #open = 0;
  /** Offset behind the last record that was there when the partition came to us; null: that is not asked for, or over. */
  backlogEnd: number | null = null;

  /** @param start offset of the first record that was read */
  constructor(topic: string, partition: number, start: number) {
    this.topic = topic;
    this.partition = partition;
    this.#watermark = new Watermark(start);
    this.#lastRead = start - 1;
    this.#committed = start;
  }

  /** Records read and not yet dealt with. */
  get open(): number {
    return this.#open;
  }

  get lastRead(): number {
    return this.#lastRead;
  }

  /** Whether what was there at the beginning is not yet read to its end. */
  get isInBacklog(): boolean {
    return this.backlogEnd !== null && this.#lastRead + 1 < this.backlogEnd;
  }

  isRead(offset: number): boolean {
    return offset <= this.#lastRead;
  }

  /** @returns what to call, once, when the record is dealt with */
  begin(offset: number, changed: () => void): () => void {
    this.#watermark.begin(offset);
    this.#lastRead = offset;
    this.#open += 1;
    return () => {
      this.#open -= 1;
      this.#watermark.complete(offset);
      changed();
    };
  }

  /** No record follows up to this offset, exclusive. */
  end(nextOffset: number): void {
    this.#watermark.end(nextOffset);
  }

  /** What may be committed and is not yet; null: nothing. */
  get toCommit(): number | null {
    const { position } = this.#watermark;
    return position > this.#committed ? position : null;
  }

  committed(offset: number): void {
    this.#committed = Math.max(this.#committed, offset);
  }
}
