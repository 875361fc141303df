import type { EventError, WorkerError } from '../errors.js';
import type { Outlet } from '../transport.js';
import { auditRow } from './audit.js';
import type { Claim } from './claim.js';
import type { ClaimRequest, Decision, Ledger, LockedState } from './ledger.js';
import { openOutgoing, type Opened } from './outbox.js';
import type { Publisher } from './publisher.js';
import { readingsOfState, refusalOfState, type SecuredContext } from './secured-record.js';

/** How many connections one round takes up. */
const ROUND_LIMIT = 200;

export interface RelayParts {
  readonly ledger: Ledger;
  readonly publisher: Publisher;
  readonly outlet: Outlet;
  readonly context: SecuredContext;
  readonly onUnpublished?: (error: WorkerError) => void;
}

/**
 * Publishes what is committed and unsent: what a killed worker left behind, what a broker was not there for. Under each
 * connection's claim, all of its records in their order.
 */
export class Relay {
  readonly #parts: RelayParts;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** One round; returns how many records it published. Rejects with a `transient` WorkerError. */
  async run(signal: AbortSignal): Promise<number> {
    const { ledger, outlet } = this.#parts;
    const { connectionIds, rows } = await ledger.unsent(ROUND_LIMIT);
    let published = 0;
    const opened = this.#open(rows);
    if (opened.length > 0) {
      await outlet.send(opened.map(({ record }) => record));
      await ledger.markSent(opened.map(({ id }) => id));
      published += opened.length;
    }
    for (const connectionId of connectionIds) {
      if (signal.aborted) break;
      published += await this.#publishConnection(connectionId);
    }
    return published;
  }

  async #publishConnection(connectionId: string): Promise<number> {
    const { publisher } = this.#parts;
    const taken = await this.#claim({ connectionId, secretIds: () => [], decide: publishUnsent });
    if (taken === null) return 0;
    const published = await publisher.publishOpened(taken.claim, taken.opened.filter(isJudged));
    return taken.opened.every(isJudged) ? published : published + (await this.#judge(connectionId));
  }

  /**
   * Secured events of an earlier version. The one of the present revision says the state that lies in the database, so it
   * goes out if that may; what older ones said is not known any more, and this one is newer.
   */
  async #judge(connectionId: string): Promise<number> {
    const { publisher, context, onUnpublished } = this.#parts;
    let refusal: EventError | null = null;
    let revision = 0;
    const taken = await this.#claim({
      connectionId,
      secretIds: (connection, references) => readingsOfState(connection, references, context),
      decide: (state) => {
        refusal = refusalOfState(state, context);
        revision = state.connection.revision;
        return isFinal(refusal) ? refuseUnsent(state, refusal) : publishUnsent(state);
      },
    });
    if (taken === null) return 0;
    const unjudged = taken.opened.filter((record) => !isJudged(record));
    const error = refusal as EventError | null;
    if (error === null)
      return publisher.publishOpened(
        taken.claim,
        unjudged.filter((record) => record.revision === revision),
        unjudged,
      );
    onUnpublished?.(error);
    await publisher.publishOpened(taken.claim, [], isFinal(error) ? unjudged : []);
    return 0;
  }

  /** Null where somebody else holds the claim, or nothing is unsent. */
  async #claim(
    request: Pick<ClaimRequest<never>, 'connectionId' | 'secretIds' | 'decide'>,
  ): Promise<{ readonly claim: Claim; readonly opened: readonly Opened[] } | null> {
    const [result] = await this.#parts.ledger.claim<never>([
      { ...request, eventHash: null, keptEvents: 'none' },
    ]);
    return result?.kind === 'committed' ? { claim: result.claim, opened: this.#open(result.unsent) } : null;
  }

  #open(rows: Parameters<typeof openOutgoing>[0]): Opened[] {
    const { context, onUnpublished = () => undefined } = this.#parts;
    return openOutgoing(rows, context.rings.outbox, onUnpublished);
  }
}

const OUTCOME = { name: 'duplicate', code: null } as const;

function publishUnsent({ hasUnsent }: LockedState): Decision<never> {
  return { kind: hasUnsent ? 'commit' : 'settle', outcome: OUTCOME, changes: {} };
}

function refuseUnsent(state: LockedState, { code, field }: EventError): Decision<never> {
  const { connection, nowMs } = state;
  const row = auditRow({
    atMs: nowMs,
    action: 'refuse',
    actor: null,
    connectionId: connection.id,
    path: field,
    secretId: null,
    eventId: connection.eventId,
    detail: code,
  });
  const decision = publishUnsent(state);
  return decision.kind === 'commit' ? { ...decision, changes: { audit: [row] } } : decision;
}

/** A key that is missing comes back; what the state says does not change by itself. */
function isFinal(refusal: EventError | null): refusal is EventError {
  return refusal !== null && refusal.code !== 'REFERENCE_NOT_OPENED';
}

function isJudged(record: Opened): boolean {
  return record.isJudged;
}
