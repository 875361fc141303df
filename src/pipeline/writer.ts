import { createHmac, timingSafeEqual } from 'node:crypto';
import { ConfigurationError, EventError, WorkerError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import { valueViolation } from '../secrets-managers/limits.js';
import type {
  PutItem,
  SecretsManager,
  StoreCall,
  StoreError,
  StoreResult,
  Stored,
} from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { Claim } from './claim.js';
import type { ManagerSource, PlanContext } from './context.js';
import type { NamedWrite, Written, GivenUp, WriteAnswer } from './state-change.js';

/** Why a store refuses an event's ids at present. */
export type DenialCode = 'STORE_DENIED' | 'STORE_QUOTA';

/** The result of writing an event's values. */
export type WriteResult =
  | { readonly kind: 'written'; readonly written: Written }
  /** The event cannot be processed as it is. */
  | { readonly kind: 'refused'; readonly error: EventError; readonly answers: Answers }
  /** The store refuses this event's ids at present, but takes others: the event waits. */
  | {
      readonly kind: 'denied';
      readonly code: DenialCode;
      readonly detail: string;
      readonly answers: Answers;
    }
  /**
   * Transient. `answers` null: a request may still be on its way, so the claim has to expire. Otherwise it may be released.
   */
  | { readonly kind: 'failed'; readonly error: WorkerError; readonly answers: Answers | null };

type Answers = GivenUp['answers'];
const NOTHING_ASKED: Answers = new Map();

type Values = ReadonlyMap<string, SecretValue>;
type Refusal = Extract<WriteResult, { kind: 'refused' | 'failed' }>;
export type ReadResult = { readonly kind: 'read'; readonly values: Values } | Refusal;

export interface WriteRequest {
  readonly writes: readonly NamedWrite[];
  readonly claim: Claim;
  /** Part of the idempotency tokens, besides path and epoch: which event or operation writes. */
  readonly purpose: string;
}

/** If the store has granted a write this recently, a denial counts as one of the id, not of the whole store. */
const GRANTED_WITHIN_MS = 60_000;

/**
 * Writes the values of one plan: first reads what is to be copied, from the manager that has it, then creates new secrets,
 * then changes existing ones. Last it reads back what came from another manager, and compares.
 */
export class Writer {
  readonly #context: PlanContext;
  readonly #managers: ManagerSource;
  #lastGrantedMs = -Infinity;

  constructor(context: PlanContext, managers: ManagerSource) {
    this.#context = context;
    this.#managers = managers;
  }

  async write(request: WriteRequest, call: StoreCall): Promise<WriteResult> {
    const { writes } = request;
    const read = await this.read(writes, call);
    if (read.kind !== 'read') return read;
    const copied = read.values;
    const toStore = writes.filter(({ target }) => target === 'store');
    const ordered = [...toStore].sort((left, right) => Number(left.known) - Number(right.known));
    const items = ordered.map((write) => this.#putItem(write, request, copied));
    const results: StoreResult<Stored>[] = [];
    try {
      for (const group of [items.filter((item) => !item.known), items.filter((item) => item.known)])
        if (group.length > 0 && !results.some((result) => !result.ok))
          results.push(...(await this.#context.manager.store.put(group, call)));
    } catch (error) {
      // put() threw because a request was not admitted: the answers to requests that ran beside it are unknown.
      if (error instanceof WorkerError && error.retryable) return { kind: 'failed', error, answers: null };
      throw error;
    }
    const judged = this.#judge(
      items,
      results,
      new Map(ordered.map((write) => [write.secretId, write.adoptionProblem])),
    );
    if (!('stored' in judged)) return judged;
    return (
      (await this.#differing(toStore, judged.stored, copied, call)) ?? {
        kind: 'written',
        written: { stored: judged.stored, copied },
      }
    );
  }

  /** Before anything is written: reads the values to be copied, by path, and checks them against the target's limits. */
  async read(writes: readonly NamedWrite[], call: StoreCall): Promise<ReadResult> {
    const read = await this.#readSources(writes, call);
    if (read.kind !== 'read') return read;
    const error = this.#beyondLimits(writes, read.values);
    return error === null ? read : { kind: 'refused', error, answers: NOTHING_ASKED };
  }

  async #readSources(writes: readonly NamedWrite[], call: StoreCall): Promise<ReadResult> {
    const values = new Map<string, SecretValue>();
    const copies = writes.flatMap(({ path, source }) => (source.kind === 'copy' ? [{ path, source }] : []));
    for (const name of new Set(copies.map(({ source }) => source.manager))) {
      const ofManager = copies.filter(({ source }) => source.manager === name);
      const manager = await this.#opened(name);
      if (manager instanceof WorkerError) return { kind: 'failed', error: manager, answers: NOTHING_ASKED };
      const items = ofManager.map(({ source: { reference, version } }) =>
        version === null ? { reference } : { reference, version },
      );
      const results = await manager.store.get(items, call);
      for (const [index, { path }] of ofManager.entries()) {
        const result = results[index];
        if (result?.ok) values.set(path, result.value.value);
        else if (result !== undefined) return unreadable(path, result.error);
      }
    }
    return { kind: 'read', values };
  }

  /** Wrong settings of a former manager must not end the worker: only that manager's connections wait. */
  async #opened(name: ManagerName): Promise<SecretsManager | WorkerError> {
    if (name === this.#context.manager.name) return this.#context.manager;
    try {
      return await this.#managers.of(name);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      return new WorkerError('STORE_UNAVAILABLE', `the former manager ${name}: ${error.message}`);
    }
  }

  /** Checks the copied values, which are known only now, against the store's limits. */
  #beyondLimits(writes: readonly NamedWrite[], copied: Values): EventError | null {
    const { limits, provider } = this.#context.manager;
    for (const { path, secretId } of writes) {
      const value = copied.get(path);
      const violation = value === undefined ? null : valueViolation(limits, secretId, value);
      if (violation !== null)
        return new EventError(violation.code, `${path}: ${violation.message} (${provider})`, path);
    }
    return null;
  }

  /** Reads back what came from another manager: the old copy may be deleted only if the new one is the same. */
  async #differing(
    writes: readonly NamedWrite[],
    stored: ReadonlyMap<string, Stored>,
    copied: Values,
    call: StoreCall,
  ): Promise<WriteResult | null> {
    const { manager } = this.#context;
    const moved = writes.flatMap(({ path, secretId, source }) => {
      const [value, there] = [copied.get(path), stored.get(secretId)];
      const isMoved = source.kind === 'copy' && source.manager !== manager.name;
      return isMoved && value !== undefined && there !== undefined ? [{ path, value, there }] : [];
    });
    if (moved.length === 0) return null;
    const results = await manager.store.get(
      moved.map(({ there: { reference, version } }) => ({ reference, version })),
      call,
    );
    for (const [index, { path, value }] of moved.entries()) {
      const result = results[index];
      if (result?.ok && isSame(result.value.value, value)) continue;
      const what = result?.ok === false ? result.error.message : 'another value';
      const message = `${path}: what was written could not be read back (${what})`;
      const answers = new Map([...stored.keys()].map((secretId) => [secretId, 'applied' as const]));
      return { kind: 'failed', error: new WorkerError('STORE_UNAVAILABLE', message), answers };
    }
    return null;
  }

  #putItem(
    { secretId, path, source, known, recordedVersion, formerOwner, adoptionProblem }: NamedWrite,
    { claim, purpose }: WriteRequest,
    copied: Values,
  ): PutItem {
    const value = source.kind === 'text' ? source.value : copied.get(path);
    if (value === undefined) throw new TypeError(`no value was read for ${secretId}`);
    return {
      secretId,
      value,
      connectionId: claim.connectionId,
      known,
      ...(recordedVersion === null ? {} : { expectedVersion: recordedVersion }),
      requestKey: requestKey(this.#context.fingerprintKey, purpose, path, claim.epoch),
      adopt: this.#context.rules.adopt && adoptionProblem === null,
      ...(formerOwner === null ? {} : { takeOverFrom: formerOwner }),
    };
  }

  #judge(
    items: readonly PutItem[],
    results: readonly StoreResult<Stored>[],
    adoptionProblems: ReadonlyMap<string, string | null>,
  ): { readonly stored: ReadonlyMap<string, Stored> } | WriteResult {
    const errors: (StoreError & { readonly secretId: string })[] = [];
    const stored = new Map<string, Stored>();
    const answers = new Map<string, WriteAnswer>();
    results.forEach((result, index) => {
      const secretId = items[index]?.secretId ?? '';
      answers.set(secretId, answerOf(result));
      if (result.ok) stored.set(secretId, result.value);
      else errors.push({ ...result.error, secretId });
    });
    if (stored.size > 0) this.#lastGrantedMs = performance.now();
    const worst = errors.find((error) => error.class === 'transient') ?? errors[0];
    if (worst === undefined) return { stored };
    const adoptionProblem = adoptionProblems.get(worst.secretId) ?? null;
    if (worst.code === 'SECRET_NOT_OWNED' && adoptionProblem !== null) {
      const message = `${worst.message}; by an event it is not adopted: ${adoptionProblem}`;
      return { kind: 'refused', error: new EventError('ADOPTION_AMBIGUOUS', message), answers };
    }
    return this.#judgeError(worst, answers);
  }

  #judgeError(error: StoreError, answers: Answers): WriteResult {
    const known = [...answers.values()].includes('unknown') ? null : answers;
    switch (error.class) {
      case 'conflict':
      case 'invalid':
        if (error.code === 'SECRET_NOT_OWNED' || error.code === 'VALUE_REFUSED_BY_STORE')
          return { kind: 'refused', error: new EventError(error.code, error.message), answers };
        break;
      case 'access':
        if (performance.now() - this.#lastGrantedMs < GRANTED_WITHIN_MS)
          return { kind: 'denied', code: 'STORE_DENIED', detail: error.message, answers };
        return { kind: 'failed', error: new WorkerError('STORE_ACCESS', error.message), answers: known };
      case 'credentials':
        return { kind: 'failed', error: new WorkerError('STORE_ACCESS', error.message), answers: known };
      case 'quota':
        // A quota of new secrets, or of one secret's versions. Other writes still succeed, so only this event waits.
        return { kind: 'denied', code: 'STORE_QUOTA', detail: error.message, answers };
      case 'not-found':
      case 'transient':
        break;
    }
    return { kind: 'failed', error: new WorkerError('STORE_UNAVAILABLE', error.message), answers: known };
  }
}

function unreadable(path: string, error: StoreError): Refusal {
  if (error.class === 'not-found')
    return {
      kind: 'refused',
      error: new EventError('SECRET_VERSION_GONE', `${path}: the recorded version is not in the store`, path),
      answers: NOTHING_ASKED,
    };
  const isAccess = error.class === 'access' || error.class === 'credentials';
  const code = isAccess ? 'STORE_ACCESS' : 'STORE_UNAVAILABLE';
  return { kind: 'failed', error: new WorkerError(code, error.message), answers: NOTHING_ASKED };
}

function isSame(left: SecretValue, right: SecretValue): boolean {
  const [one, other] = [Buffer.from(left.reveal()), Buffer.from(right.reveal())];
  return one.length === other.length && timingSafeEqual(one, other);
}

function answerOf(result: StoreResult<Stored>): WriteAnswer {
  if (result.ok) return 'applied';
  return result.error.applied === 'no' ? 'refused' : 'unknown';
}

/**
 * Idempotency token, 64 hexadecimal digits. It depends on the claim's epoch, so that the same write under a later claim is
 * a new request; it does not depend on the value.
 */
function requestKey(key: Buffer, purpose: string, path: string, epoch: number): string {
  return createHmac('sha256', key)
    .update(JSON.stringify(['client-token', purpose, path, epoch]))
    .digest('hex');
}
