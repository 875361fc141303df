import { type SourceTopics, decodeRecord } from '../../events/decode.js';
import type { SourceRecord } from '../../terms.js';
import type { RecordSink } from '../../transport.js';
import type { ReplaySelection } from './plan.js';

/** Whether a record is selected. It looks at the record alone, so a record that is left out costs no database access. */
export function isChosen(
  record: SourceRecord,
  { connectionIds, kinds }: ReplaySelection,
  topics: SourceTopics,
  nowMs: number,
): boolean {
  if (connectionIds === null && kinds === null) return true;
  const decoded = decodeRecord(record, topics, nowMs);
  switch (decoded.kind) {
    case 'tombstone':
    case 'ignored':
      return false;
    case 'undecodable':
      // Nobody knows the kind of a record that cannot be read.
      return kinds === null && [decoded.connectionId, decoded.key].some((id) => isOneOf(id, connectionIds));
    case 'event': {
      const { connectionId, kind } = decoded.event;
      return isOneOf(connectionId, connectionIds) && isOneOf(kind, kinds);
    }
  }
}

function isOneOf<T>(value: T | null, chosen: readonly T[] | null): boolean {
  return chosen === null || (value !== null && chosen.includes(value));
}

interface FilterParts {
  readonly inner: RecordSink;
  readonly selection: ReplaySelection;
  readonly topics: SourceTopics;
  readonly onSkipped: () => void;
}

/** Passes the selected records on, and knows which partitions have records under way. */
export class SelectedRecords implements RecordSink {
  readonly #parts: FilterParts;
  readonly #underWay = new Map<string, number>();

  constructor(parts: FilterParts) {
    this.#parts = parts;
  }

  async handle(record: SourceRecord, signal: AbortSignal): Promise<void> {
    const { inner, selection, topics, onSkipped } = this.#parts;
    if (!isChosen(record, selection, topics, Date.now())) {
      onSkipped();
      return;
    }
    this.#count(record, 1);
    try {
      await inner.handle(record, signal);
    } finally {
      this.#count(record, -1);
    }
  }

  isBusy({ topic, partition }: { readonly topic: string; readonly partition: number }): boolean {
    return (this.#underWay.get(`${topic}|${partition}`) ?? 0) > 0;
  }

  #count({ topic, partition }: SourceRecord, more: number): void {
    const key = `${topic}|${partition}`;
    this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + more);
  }
}
