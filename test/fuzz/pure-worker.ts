import { decodeRecord } from '../../src/events/decode.js';
import { sha256Hex } from '../../src/hash.js';
import { EventError } from '../../src/errors.js';
import { tokenOf } from '../../src/fernet/index.js';
import { readingsOf } from '../../src/ids/index.js';
import { SecretValue } from '../../src/secret-value.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { Changes, LockedState } from '../../src/pipeline/ledger.js';
import { askedSecretIds, decideEvent, type WritePlan } from '../../src/pipeline/plan.js';
import { prepareEvent, type PreparedEvent } from '../../src/pipeline/prepare.js';
import { toReference } from '../../src/pipeline/references.js';
import type { Stored } from '../../src/secrets-managers/port.js';
import type { RecordOutcome, SourceRecord } from '../../src/terms.js';
import { newState, stateAfter } from './contexts.js';
import { NOW_MS, TOPICS } from './samples.js';

/** A secret as the store has it: who wrote it, and what. */
interface Kept {
  readonly owner: string;
  readonly value: string;
}

/**
 * The real decisions over maps in place of a database and a store: one worker, one event after the other, no faults. What
 * the database is asked for is looked up as it does.
 */
export class PureWorker {
  readonly #states: Map<string, LockedState>;
  readonly #store: Map<string, Kept>;

  constructor(
    readonly context: PlanContext,
    states: ReadonlyMap<string, LockedState> = new Map(),
    store: ReadonlyMap<string, Kept> = new Map(),
  ) {
    this.#states = new Map(states);
    this.#store = new Map(store);
  }

  copy(): PureWorker {
    return new PureWorker(this.context, this.#states, this.#store);
  }

  /** What a store gives for a name, in every reading that some store has of it. */
  lookUp(asked: string): string | undefined {
    for (const reading of [asked, ...readingsOf(asked)]) {
      const kept = this.#store.get(reading);
      if (kept !== undefined) return kept.value;
    }
    return undefined;
  }

  /** The tokens in the rows of the database. */
  sealedTexts(): string[] {
    return [...this.#states.values()].flatMap(({ references }) => references.map(({ sealed }) => sealed));
  }

  /** Handles one record of a source topic. */
  handle(record: SourceRecord): { outcome: RecordOutcome | 'later'; emitted: (SourceRecord | null)[] } {
    const decoded = decodeRecord(record, TOPICS, NOW_MS);
    if (decoded.kind !== 'event') throw new Error(`made badly: ${decoded.kind}`);
    const prepared = prepareEvent(decoded.event, record, this.context);
    const state = this.#stateFor(prepared);
    const decision = decideEvent(prepared, state, this.context);
    if (decision.kind === 'later') return { outcome: 'later', emitted: [] };
    if (decision.kind !== 'write') return this.#commit(state, decision.changes, decision.outcome.name);
    const marked = stateAfter(state, decision.changes);
    try {
      return this.#commit(marked, this.#written(prepared, decision.plan), 'applied');
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      return this.#commit(
        marked,
        decision.plan.refuse(error, { elapsedMs: 0, answers: new Map() }),
        'refused',
      );
    }
  }

  #stateFor(prepared: PreparedEvent): LockedState {
    const { connectionId } = prepared.event;
    const own = this.#states.get(connectionId) ?? newState(connectionId);
    const asked = askedSecretIds(prepared, own.connection, own.references, this.context);
    const isAsked = new Set(asked);
    const idByHash = new Map(asked.map((id) => [sha256Hex(id), id]));
    const others = [...this.#states.values()].filter(({ connection }) => connection.id !== connectionId);
    return {
      ...own,
      foreign: others.flatMap(({ stored }) => stored.filter(({ secretId }) => isAsked.has(secretId))),
      referrers: others.flatMap(({ connection, references }) =>
        references.flatMap(({ owned, referenceHash }) => {
          const secretId = owned ? undefined : idByHash.get(referenceHash ?? '');
          return secretId === undefined ? [] : [{ connectionId: connection.id, secretId }];
        }),
      ),
      // Of one kind, all of them: those who ask sort out who is meant.
      namesakes: this.context.rules.adopt
        ? others.flatMap(({ connection: { id, kind, name } }) =>
            kind === null || name === null ? [] : [{ connectionId: id, kind, name }],
          )
        : [],
    };
  }

  /** Puts what is to be written where its owner is the same, or nobody. */
  #written(prepared: PreparedEvent, plan: WritePlan): Changes {
    const owner = prepared.event.connectionId;
    const copied = new Map<string, SecretValue>();
    const stored = new Map<string, Stored>();
    for (const { path, secretId, target, source, formerOwner } of plan.writes) {
      const value = source.kind === 'text' ? source.value.reveal() : this.#read(source.reference);
      if (source.kind === 'copy') copied.set(path, new SecretValue(value));
      if (target === 'database') continue;
      const kept = this.#store.get(secretId);
      if (kept !== undefined && kept.owner !== owner && kept.owner !== formerOwner)
        throw new EventError('SECRET_NOT_OWNED', 'it is another one’s');
      this.#store.set(secretId, { owner, value });
      stored.set(secretId, { reference: toReference(secretId), version: 'v1', effect: 'created' });
    }
    return plan.finish({ stored, copied });
  }

  #read(reference: string): string {
    if (reference.startsWith('fernet:')) return this.context.rings.database.open(tokenOf(reference));
    const kept = this.#store.get(reference.slice('secret:'.length));
    if (kept === undefined) throw new EventError('SECRET_VERSION_GONE', 'it is not there');
    return kept.value;
  }

  #commit(state: LockedState, changes: Changes, outcome: RecordOutcome): ReturnType<PureWorker['handle']> {
    this.#states.set(state.connection.id, stateAfter(state, changes));
    const emitted = (changes.secured === undefined ? [] : [changes.secured]).map(
      ({ key, value, headers }) => {
        return value === null
          ? null
          : {
              topic: 'secured',
              partition: 0,
              offset: 0,
              timestampMs: NOW_MS,
              key: key === null ? null : Buffer.from(key),
              value,
              headers: Object.fromEntries(
                Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]),
              ),
            };
      },
    );
    return { outcome, emitted };
  }
}
