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

/** A reference that may not go out, and why. */
interface ReferenceRefusal {
  readonly secretId: string;
  readonly code: 'REFERENCE_INVALID' | 'REFERENCE_FOREIGN' | 'REFERENCE_NOT_ALLOWED';
  /** Goes on after the name of the field. */
  readonly why: string;
}

/** What ids of ours begin with. */
export type OwnNames = Pick<SecretIdBuilder, 'ownPrefix' | 'ownPrefixes'>;

/** Whose a name is: rows of other connections, asked for with all readings of what is judged. */
export type OthersSecrets = readonly Pick<StoredSecretRow, 'secretId' | 'state'>[];

export function isAmong(others: OthersSecrets, secretId: string): boolean {
  return others.some((row) => row.secretId === secretId && row.state !== 'deleted');
}

/** Judges a reference that is not this connection's own; null: it may go out. */
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
 * Judges what was taken in before, maybe by a version that judged less: it goes out again only if it would be taken in
 * now. The list of allowed prefixes is for what comes in.
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

/** The names whose owners {@link refusalOfStored} has to know: what readers make of users' references. */
export function readingsOfStored(references: readonly ReferenceRow[], database: Opener): string[] {
  return references.flatMap((row) => {
    const external = externalIdOf(row, database);
    return external === null ? [] : readingsOf(external);
  });
}

/** @throws EventError naming the field, where there is a refusal */
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

/** A text outside of the secret fields that a reader takes for a reference, where its model says that a secret stands there. */
interface PlainReference {
  readonly at: Step;
  readonly secretId: string;
  /** It can hardly be meant for people to read. */
  readonly isMeant: boolean;
}

/** Readers look at the beginning; some trim the text before, or compare without case. */
const REFERENCE = /^\s*secrets?:(.*)$/is;
/** What people read. */
const FREE_TEXTS: ReadonlySet<string | number> = new Set(['description', 'displayName']);

/** The names whose owners {@link refusePlainReferences} has to know. */
export function readingsOfPlain(entity: string | JsonObject | null): string[] {
  return plainReferences(entity)
    .slice(0, LIMITS.secretFields)
    .flatMap(({ secretId }) => readingsOf(secretId));
}

/**
 * Judges every text that is left as it is: a reader with another model than ours may resolve it.
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

/** One pass, in linear time. Few entities have any: a look at the JSON is cheaper than reading it. */
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
