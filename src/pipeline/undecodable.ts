import type { Decoded } from '../events/decode.js';
import { isConnectionId } from '../events/fields.js';
import { sha256Hex } from '../hash.js';
import type { SourceRecord } from '../terms.js';
import type { Outlet } from '../transport.js';
import type { PlanContext } from './context.js';
import { Group } from './group.js';
import type { ClaimRequest, ClaimResult, DeadLetterHead, Ledger } from './ledger.js';
import { outgoingRecord } from './outbox.js';
import type { Publisher } from './publisher.js';
import { refusal, type Unprocessed } from './unprocessed.js';
import { WorkerError } from '../errors.js';

type Undecodable = Extract<Decoded, { kind: 'undecodable' }>;

/** The connection that an undecodable record belongs to, as far as that can be said. */
export function connectionOf({ connectionId, key }: Undecodable): string | null {
  return connectionId ?? (key !== null && isConnectionId(key) ? key : null);
}

/** Makes dead letters of records that are no events; under the connection's claim where there is one. */
export class UndecodableProcessor {
  readonly #context: PlanContext;
  readonly #ledger: Ledger;
  readonly #outlet: Outlet;
  readonly #publisher: Publisher;
  readonly #claims: Group<ClaimRequest<never>, ClaimResult<never>>;

  constructor(context: PlanContext, ledger: Ledger, outlet: Outlet, publisher: Publisher) {
    this.#context = context;
    this.#ledger = ledger;
    this.#outlet = outlet;
    this.#publisher = publisher;
    this.#claims = new Group((requests) => ledger.claim(requests));
  }

  /**
   * Returns what the dead letter is kept as.
   *
   * @param before where it is tried again: as what it is kept
   */
  async process(
    decoded: Undecodable,
    record: SourceRecord,
    nowMs: number,
    before?: DeadLetterHead,
  ): Promise<string> {
    const connectionId = connectionOf(decoded);
    const event: Unprocessed = {
      eventHash: recordHash(record),
      record,
      connectionId,
      eventId: decoded.eventId,
      actor: null,
      order: null,
      sets: null,
    };
    if (connectionId === null) await this.#keepAlone(event, decoded, nowMs, before);
    else await this.#keepWithConnection(event, connectionId, decoded);
    return event.eventHash;
  }

  async #keepWithConnection(event: Unprocessed, connectionId: string, { error }: Undecodable): Promise<void> {
    const result = await this.#claims.add({
      connectionId,
      eventHash: event.eventHash,
      secretIds: () => [],
      decide: ({ nowMs, deadLetters }) => ({
        kind: 'commit',
        outcome: { name: 'refused', code: error.code },
        changes: refusal(event, error, nowMs, deadLetters, this.#context),
      }),
    });
    if (result.kind === 'busy')
      throw new WorkerError('CLAIM_LOST', `connection ${connectionId} is claimed by another worker`);
    if (result.kind === 'committed') await this.#publisher.publish(result.claim, result.unsent);
  }

  async #keepAlone(
    event: Unprocessed,
    { error }: Undecodable,
    nowMs: number,
    before?: DeadLetterHead,
  ): Promise<void> {
    const known = before === undefined ? [] : [before];
    const changes = refusal(event, error, nowMs, known, this.#context);
    await this.#ledger.append([changes]);
    const rows = changes.outbox ?? [];
    if (rows.length === 0) return;
    await this.#outlet.send(rows.map((row) => outgoingRecord(row, this.#context.rings.database)));
    await this.#ledger.markSent(rows.map(({ id }) => id));
  }
}

/**
 * An undecodable record has no event id that could be trusted: its place and content stand for it. Not its time: that of
 * a pipe's line is another one in every run.
 */
function recordHash({ topic, partition, offset, value }: SourceRecord): string {
  return sha256Hex(JSON.stringify(['record', topic, partition, offset, value?.toString('base64') ?? null]));
}
