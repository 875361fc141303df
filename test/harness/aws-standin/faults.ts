/**
 * What goes wrong. `…-after`: the operation is carried out first. What the service itself refuses (a secret that is to
 * be created exists) is not carried out: it gets that answer, and the fault goes on to the next request.
 *
 * - `error`: the error `name` with `status` (400); nothing is carried out
 * - `deny`: AccessDeniedException, per id where an operation names several
 * - `server-error`, `server-error-after`: 500 InternalServiceError
 * - `drop`, `drop-after`: the connection is cut instead of an answer
 * - `hang`, `hang-after`: no answer ever comes
 * - `empty`, `empty-after`: 200 with `{}`, as a proxy or a poor emulator may answer
 * - `delay`: carried out and answered `delayMs` later, also when the client has gone meanwhile (a request landing late)
 * - `slow-answer`: carried out at once, answered `delayMs` later
 */
export const FAULT_KINDS = [
  'error',
  'deny',
  'server-error',
  'server-error-after',
  'drop',
  'drop-after',
  'hang',
  'hang-after',
  'empty',
  'empty-after',
  'delay',
  'slow-answer',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly service?: 'secretsmanager' | 'ssm';
  /** One operation; every one where it is missing. */
  readonly operation?: string;
  /** One id, or all that begin with what stands before a `*` at the end. */
  readonly secretId?: string;
  /** How many matching requests it hits; all where it is missing. */
  readonly times?: number;
  /** How many matching requests it lets pass first. */
  readonly skip?: number;
  readonly name?: string;
  readonly status?: number;
  readonly delayMs?: number;
  /** Only requests signed with this key: others go through. */
  readonly accessKeyId?: string;
}

export interface RequestFacts {
  readonly service: 'secretsmanager' | 'ssm';
  readonly operation: string;
  readonly ids: readonly string[];
  /** Who signed it; null where nobody did. */
  readonly accessKeyId: string | null;
}

/** A fault that hits a request; `id`: what {@link FaultScript.arm} has called it. */
export interface Hit {
  readonly id: number;
  readonly fault: Fault;
}

interface Armed extends Hit {
  skip: number;
  times: number;
}

function idMatches(pattern: string | undefined, id: string): boolean {
  if (pattern === undefined || pattern === id) return true;
  return pattern.endsWith('*') && id.startsWith(pattern.slice(0, -1));
}

function matches(fault: Fault, facts: RequestFacts): boolean {
  if (fault.service !== undefined && fault.service !== facts.service) return false;
  if (fault.operation !== undefined && fault.operation !== facts.operation) return false;
  if (fault.accessKeyId !== undefined && fault.accessKeyId !== facts.accessKeyId) return false;
  return fault.secretId === undefined || facts.ids.some((id) => idMatches(fault.secretId, id));
}

/** The scripted faults, in the order they were armed; the first that matches a request hits it. */
export class FaultScript {
  #armed: Armed[] = [];
  #lastId = 0;

  arm(fault: Fault): number {
    this.#lastId += 1;
    this.#armed.push({
      id: this.#lastId,
      fault,
      skip: fault.skip ?? 0,
      times: fault.times ?? Number.POSITIVE_INFINITY,
    });
    return this.#lastId;
  }

  disarm(id?: number): void {
    this.#armed = id === undefined ? [] : this.#armed.filter((armed) => armed.id !== id);
  }

  list(): Hit[] {
    return this.#armed.map(({ id, fault }) => ({ id, fault }));
  }

  /** Whether it may still hit a request. */
  isArmed(id: number): boolean {
    return this.#armed.some((armed) => armed.id === id && armed.times > 0);
  }

  /** The fault that hits this request, used up by one; `deny` is judged per id by {@link denies}. */
  next(facts: RequestFacts): Hit | null {
    for (const armed of this.#armed) {
      if (armed.fault.kind === 'deny' || armed.times <= 0 || !matches(armed.fault, facts)) continue;
      if (armed.skip > 0) {
        armed.skip -= 1;
        continue;
      }
      armed.times -= 1;
      return armed;
    }
    return null;
  }

  /** It has not hit: it is for the next request that matches. */
  giveBack({ id }: Hit): void {
    for (const armed of this.#armed) if (armed.id === id) armed.times += 1;
  }

  denies(facts: RequestFacts, id: string): boolean {
    return this.#armed.some(
      ({ fault }) =>
        fault.kind === 'deny' &&
        matches({ ...fault, secretId: '*' }, { ...facts, ids: [id] }) &&
        idMatches(fault.secretId, id),
    );
  }
}
