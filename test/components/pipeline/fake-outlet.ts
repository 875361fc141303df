import { WorkerError } from '../../../src/errors.js';
import { requireDeadLetterSchema, requireSecuredSchema } from '../../harness/schemas.js';
import { parseSecured, type SentEvent } from './sent-event.js';
import type { OutgoingRecord, Outlet, Stream } from '../../../src/transport.js';

/** Both topics, as their readers see them: what has landed, in this order. Shared by the workers of a test. */
export class FakeTopics {
  readonly records: OutgoingRecord[] = [];

  get secured(): SentEvent[] {
    return this.records.filter(({ stream }) => stream === 'secured').map(parseSecured);
  }

  securedOf(connectionId: string): SentEvent[] {
    return this.secured.filter((event) => event.connectionId === connectionId);
  }

  get deadLetters(): OutgoingRecord[] {
    return this.records.filter(({ stream }) => stream === 'dead-letter');
  }

  /** What compaction keeps of a connection. */
  lastOf(connectionId: string): SentEvent | undefined {
    return this.securedOf(connectionId).at(-1);
  }
}

/** An outlet that writes into {@link FakeTopics}; the test may fail its sends or have them wait. */
export class FakeOutlet implements Outlet {
  readonly requestTimeoutMs = 200;
  sends = 0;
  maxBytes = 1_000_000;
  /** Fails this many sends: nothing lands. */
  failures = 0;
  /** Fails this many sends although everything has landed. */
  failuresAfter = 0;
  /** Awaited before records land. */
  beforeLanding: () => Promise<void> = () => Promise.resolve();

  constructor(readonly topics: FakeTopics) {}

  maxRecordBytes(stream: Stream): number {
    return stream === 'secured' ? this.maxBytes : 1_000_000;
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    this.sends += 1;
    if (this.failures > 0) {
      this.failures -= 1;
      throw new WorkerError('BROKER_UNAVAILABLE', 'scripted');
    }
    for (const record of records) requireSchema(record);
    await this.beforeLanding();
    this.topics.records.push(...records);
    if (this.failuresAfter > 0) {
      this.failuresAfter -= 1;
      throw new WorkerError('BROKER_UNAVAILABLE', 'scripted: no answer');
    }
  }
}

/** Every test that sends anything holds it against the published schemas. */
function requireSchema(record: OutgoingRecord): void {
  if (record.stream === 'secured') requireSecuredSchema(record);
  else requireDeadLetterSchema(record);
}

/** A promise that the test settles. */
export function gate(): {
  readonly opened: Promise<void>;
  open(): void;
  readonly reached: Promise<void>;
  pass(): Promise<void>;
} {
  let open: () => void = () => undefined;
  let reach: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => (reach = resolve));
  return {
    opened,
    reached,
    open,
    pass: () => {
      reach();
      return opened;
    },
  };
}
