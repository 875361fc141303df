import { decodeRecord, type SourceTopics } from '../../events/decode.js';
import { compareEvents } from '../../events/order.js';
import type { PlanContext } from '../../pipeline/context.js';
import { setsField, prepareEvent, type PreparedEvent } from '../../pipeline/prepare.js';
import type { SourceRecord } from '../../terms.js';
import type { RecordSink } from '../../transport.js';
import type { Progress } from '../progress.js';
import { ReplayPositions } from './positions.js';
import { readAgain, type ReadAgainOptions } from './read-again.js';

/** What is remembered of an event in the first pass. */
interface Seen extends Pick<PreparedEvent, 'order'> {
  readonly eventType: PreparedEvent['event']['eventType'];
  readonly place: string;
}

/** What is remembered of one connection in the first pass. */
interface Newest {
  /** Its newest event. */
  readonly event: Seen;
  /** The fields that this event masks. */
  readonly masked: readonly string[];
  /** For each field the newest event that sets it. */
  readonly setters: Map<string, Seen>;
}

/**
 * Finds the records that make up the present state: the newest event of each connection, and for each field that it masks
 * the newest event that sets it. Once these are applied, all others change nothing. Takes about 1 KB of memory for each
 * connection.
 */
export class NewestRecords {
  readonly #context: PlanContext;
  readonly #topics: SourceTopics;
  readonly #connections = new Map<string, Newest>();
  /** Records that cannot be read. They come first, so that a later state of the connection supersedes their dead letters. */
  readonly #unread = new Set<string>();

  constructor(context: PlanContext, topics: SourceTopics) {
    this.#context = context;
    this.#topics = topics;
  }

  /** Looks at a record. The order of the calls does not matter. */
  note(record: SourceRecord): void {
    const decoded = decodeRecord(record, this.#topics, Date.now());
    if (decoded.kind === 'undecodable') this.#unread.add(placeOf(record));
    if (decoded.kind !== 'event') return;
    const prepared = prepareEvent(decoded.event, record, this.#context);
    // A refused event becomes a dead letter in any order.
    if (prepared.error === null) this.#noteEvent(prepared, placeOf(record));
  }

  #noteEvent({ event, order, fields }: PreparedEvent, place: string): void {
    const { connectionId, eventType } = event;
    const seen = { order, eventType, place };
    const masked = (fields ?? []).flatMap(({ path, incoming }) => (incoming.kind === 'mask' ? [path] : []));
    const known = this.#connections.get(connectionId);
    const setters = known?.setters ?? new Map<string, Seen>();
    if (isNewer(seen, known?.event)) this.#connections.set(connectionId, { event: seen, masked, setters });
    for (const { path, incoming } of fields ?? [])
      if (setsField(incoming) && isNewer(seen, setters.get(path))) setters.set(path, seen);
  }

  /** The places of the records to handle first. */
  places(): ReadonlySet<string> {
    const places = new Set(this.#unread);
    for (const { event, masked, setters } of this.#connections.values()) {
      places.add(event.place);
      for (const path of masked) {
        const setter = setters.get(path);
        if (setter !== undefined) places.add(setter.place);
      }
    }
    return places;
  }
}

function isNewer(seen: Seen, known: Seen | undefined): boolean {
  return known === undefined || compareEvents(seen, known) > 0;
}

function placeOf({ topic, partition, offset }: SourceRecord): string {
  return `${topic}|${partition}|${offset}`;
}

/** How often the selected records are read. */
const PASSES = 3;

/**
 * As {@link readAgain}, but handles the records of the present state first, so that a rebuild from the topics writes no
 * password that was replaced long ago. It reads the records three times: to find the newest, to handle these, and to handle
 * the others, which are stale by then. The positions are those of the second pass. An interrupted replay begins the first
 * and the third pass again.
 *
 * @returns whether every record was handled
 */
export async function readNewestFirst(
  options: ReadAgainOptions & { readonly context: PlanContext },
): Promise<boolean> {
  const { positions, handler, context, topics, signal, progress } = options;
  const newest = new NewestRecords(context, topics);
  const look: RecordSink = {
    handle: (record) => {
      newest.note(record);
      return Promise.resolve();
    },
  };
  await readAgain({ ...options, ...fromTheBeginning(positions), handler: look, progress: part(progress, 0) });
  if (signal.aborted) return false;
  const first = newest.places();
  const only = (wanted: boolean): RecordSink => ({
    handle: (record, stop) =>
      first.has(placeOf(record)) === wanted ? handler.handle(record, stop) : Promise.resolve(),
  });
  await readAgain({ ...options, handler: only(true), progress: part(progress, 1) });
  if (!positions.isDone) return false;
  const rest = fromTheBeginning(positions);
  await readAgain({ ...options, ...rest, handler: only(false), progress: part(progress, 2) });
  return rest.positions.isDone;
}

/** Positions for another pass over all records. It counts nothing and saves no positions: only the second pass does. */
function fromTheBeginning(
  positions: ReplayPositions,
): Pick<ReadAgainOptions, 'positions' | 'onPositions' | 'onSkipped' | 'onDeleted'> {
  return {
    positions: new ReplayPositions(positions.list().map((one) => ({ ...one, position: one.from }))),
    onPositions: () => Promise.resolve(),
    onSkipped: () => undefined,
    onDeleted: () => undefined,
  };
}

/** Shows one pass as a part of the whole. */
function part(progress: Progress, pass: number): Progress {
  return {
    report: ({ done, total, failed }) => {
      const all = total === null ? null : total * PASSES;
      progress.report({ done: done + pass * (total ?? 0), total: all, failed });
    },
  };
}
