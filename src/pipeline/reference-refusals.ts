import type { ReferenceRow, StoredSecretRow, ConnectionRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import {
  judgeReference,
  MAX_REFERENCE_LENGTH,
  readingsOf,
  type SecretIdBuilder,
  type Verdict,
} from '../ids/index.js';
import { LIMITS } from '../limits.js';
import type { Json, JsonObject } from '../terms.js';
import type { PlanContext, Sealer } from './context.js';
import { pointerOfStep, type Step } from './entity.js';
import { CONFIGURATION } from './notes.js';
import { externalIdOf } from './references.js';

/** Why a reference must not be published. */
interface ReferenceRefusal {
  readonly secretId: string;
  readonly code: 'REFERENCE_INVALID' | 'REFERENCE_FOREIGN' | 'REFERENCE_NOT_ALLOWED';
  /** The message's text after the field's name. */
  readonly why: string;
}

/** The prefixes of our own ids. */
export type OwnNames = Pick<SecretIdBuilder, 'ownPrefix' | 'ownPrefixes'>;

/** Rows of other connections that own one of the names that the checked reference may mean. */
export type OthersSecrets = readonly Pick<StoredSecretRow, 'secretId' | 'state'>[];

export function isAmong(others: OthersSecrets, secretId: string): boolean {
  return others.some((row) => row.secretId === secretId && row.state !== 'deleted');
}

/** Checks a reference that is not to one of this connection's own secrets. Null: it may be published. */
export function refusalOf(
  secretId: string,
  others: OthersSecrets,
  { ownPrefix, ownPrefixes }: OwnNames,
  allowedPrefixes: readonly string[],
): ReferenceRefusal | null {
  const holders = { isOwn: () => false, isOthers: (name: string) => isAmong(others, name) };
  const verdict = judgeReference(secretId, holders, { ownPrefixes, allowedPrefixes });
  const refused = REFUSALS[verdict];
  return refused === null ? null : { secretId, ...refused, why: refused.why.replace('…', ownPrefix) };
}

/**
 * Checks a stored reference, which an earlier version may have accepted with fewer checks: it is published only if it would
 * be accepted today. The list of allowed prefixes does not count here; it is for incoming references.
 */
export function refusalOfStored(
  row: ReferenceRow,
  others: OthersSecrets,
  { ids, rings }: { readonly ids: OwnNames; readonly rings: { readonly database: Opener } },
): ReferenceRefusal | null {
  const secretId = externalIdOf(row, rings.database);
  return secretId === null ? null : refusalOf(secretId, others, ids, []);
}

type Opener = Pick<PlanContext['rings']['database'], 'open'>;

/** The names whose owners {@link refusalOfStored} must know: all that readers may take users' references for. */
export function readingsOfStored(references: readonly ReferenceRow[], database: Opener): string[] {
  return references.flatMap((row) => {
    const external = externalIdOf(row, database);
    return external === null ? [] : readingsOf(external);
  });
}

/** @throws EventError naming the field, if there is a refusal */
export function throwRefusal(refusal: ReferenceRefusal | null, pointer: string): void {
  if (refusal !== null) throw new EventError(refusal.code, `${pointer} ${refusal.why}`, pointer);
}

const REFUSALS: Readonly<Record<Verdict, Omit<ReferenceRefusal, 'secretId'> | null>> = {
  owned: null,
  external: null,
  invalid: {
    code: 'REFERENCE_INVALID',
    why: `holds a reference that readers can take for different names: at most ${MAX_REFERENCE_LENGTH} characters of A-Z a-z 0-9 / _ + = . @ ! # : - and no secret: inside, but for a whole ARN`,
  },
  foreign: {
    code: 'REFERENCE_FOREIGN',
    why: 'refers to a secret of another connection, or to a name under a prefix that this worker has or had (now …)',
  },
  'not-allowed': {
    code: 'REFERENCE_NOT_ALLOWED',
    why: 'refers to a name outside of ALLOWED_REFERENCE_PREFIXES',
  },
};

/** A text outside of the secret fields that a reader may take for a reference, if its model has a secret in that place. */
interface PlainReference {
  readonly at: Step;
  readonly secretId: string;
  /** Whether it is surely a reference, not a text for people to read. */
  readonly isMeant: boolean;
}

/** Readers look at the beginning; some trim the text before, or compare without case. */
const REFERENCE = /^\s*secrets?:(.*)$/is;
/** Members with texts for people to read. */
const FREE_TEXTS: ReadonlySet<string | number> = new Set(['description', 'displayName']);

/** The names whose owners {@link refusePlainReferences} must know. */
export function readingsOfPlain(entity: string | JsonObject | null): string[] {
  return plainReferences(entity)
    .slice(0, LIMITS.secretFields)
    .flatMap(({ secretId }) => readingsOf(secretId));
}

/**
 * Checks every text that is left as it is: a reader with another model than ours may resolve it as a reference.
 *
 * @param entity as it is stored: JSON, with masks in its secret fields
 * @throws EventError REFERENCE_FOREIGN, REFERENCE_INVALID; EVENT_TOO_LARGE
 */
export function refusePlainReferences(
  entity: string | null,
  ownIds: ReadonlySet<string | null>,
  others: OthersSecrets,
  ids: OwnNames,
): void {
  const references = plainReferences(entity);
  if (references.length > LIMITS.secretFields)
    throw new EventError(
      'EVENT_TOO_LARGE',
      `the entity has ${references.length} references outside of its secret fields, more than ${LIMITS.secretFields}`,
    );
  for (const { at, secretId, isMeant } of references) {
    if (ownIds.has(secretId)) continue;
    const refusal = refusalOf(secretId, others, ids, []);
    if (refusal?.code !== 'REFERENCE_INVALID' || isMeant) throwRefusal(refusal, pointerOfStep(at));
  }
}

/** Whether an entity or one of its users' references names something under these prefixes, in any reading. */
export function refersToAny(
  { entity }: Pick<ConnectionRow, 'entity'>,
  references: readonly ReferenceRow[],
  ownPrefixes: readonly string[],
  database: Pick<Sealer, 'open'>,
): boolean {
  const named = references.map((row) => externalIdOf(row, database)).filter((name) => name !== null);
  const texts = plainReferences(entity).map(({ secretId }) => secretId);
  const nobody = { isOwn: () => false, isOthers: () => false };
  return [...named, ...texts].some(
    (name) => judgeReference(name, nobody, { ownPrefixes, allowedPrefixes: [] }) === 'foreign',
  );
}

/** One pass, in linear time. Few entities have such texts, so it searches the JSON text before it parses it. */
function plainReferences(entity: string | JsonObject | null): PlainReference[] {
  if (typeof entity === 'string' && !/secrets?:/i.test(entity)) return [];
  const found: PlainReference[] = [];
  const value = typeof entity === 'string' ? (JSON.parse(entity) as Json) : entity;
  const stack: { at: Step | null; value: Json }[] = [{ at: null, value }];
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    const { at, value } = place;
    if (typeof value === 'string') {
      if (at !== null) found.push(...referenceIn(value, at));
    } else if (Array.isArray(value)) {
      for (const [segment, member] of value.entries())
        stack.push({ at: { parent: at, segment }, value: member });
    } else if (value !== null && typeof value === 'object') {
      for (const segment of Object.keys(value))
        stack.push({ at: { parent: at, segment }, value: value[segment] ?? null });
    }
  }
  return found;
}

function referenceIn(text: string, at: Step): PlainReference[] {
  const secretId = REFERENCE.exec(text)?.[1]?.trim();
  if (secretId === undefined || secretId === '' || FREE_TEXTS.has(at.segment)) return [];
  return [{ at, secretId, isMeant: !/\s/.test(secretId) || CONFIGURATION.has(topOf(at)) }];
}

function topOf(step: Step): string | number {
  let at = step;
  while (at.parent !== null) at = at.parent;
  return at.segment;
}
