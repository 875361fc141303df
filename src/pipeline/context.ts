import type { FieldFinder } from '../catalog/field-finder.js';
import type { SecretIdBuilder } from '../ids/index.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { Stream } from '../transport.js';

/** A Fernet key ring as the pipeline uses it: raw tokens, without the prefix. */
export interface Sealer {
  seal(text: string): string;
  open(token: string): string;
}

/** What seals the tokens of secured events. */
export interface SecuredSealer extends Sealer {
  /** Names the first key and says nothing about it. */
  readonly primaryKeyId: string;
  /** As `KeyRing.sealRepeatably`. */
  sealRepeatably(text: string, place: string, timeMs: number): string;
}

/** Managers by their names: values that are to move are read where they are. */
export interface ManagerSource {
  /**
   * Opened once, under the same settings as the active one.
   * @throws ConfigurationError where the settings do not do for it
   */
  of(name: ManagerName): Promise<SecretsManager>;
}

/** Everything a decision depends on besides the event and the connection's state. Fixed while the process runs. */
export interface PlanContext {
  readonly manager: SecretsManager;
  readonly ids: SecretIdBuilder;
  readonly fields: FieldFinder;
  readonly rings: {
    readonly database: Sealer;
    /** Null: no field may come sealed. */
    readonly publisher: Sealer | null;
    readonly ingestion: SecuredSealer;
    readonly deadLetter: Sealer;
    readonly outbox: Sealer;
  };
  readonly fingerprintKey: Buffer;
  readonly generation: number;
  readonly rules: {
    readonly adopt: boolean;
    /** What a run of `adopt` has decided: see `adoptionGrant`. Null: events decide. */
    readonly grants: ReadonlySet<string> | null;
    /** `sealed`: a value that came in the clear is refused. */
    readonly sourceValues: 'any' | 'sealed';
    /** What becomes of an event that masks a secret and changes where it is sent. */
    readonly maskedSecretOnNewEndpoint: 'allow' | 'refuse';
    /** What becomes of a free text that quotes a secret of its event. */
    readonly secretQuoted: 'mask' | 'refuse' | 'report';
    readonly allowedReferencePrefixes: readonly string[];
    /** `bound`: a publisher's token must say which field it is for. */
    readonly publisherTokens: 'bound' | 'any';
    /** After retiring, milliseconds until a secret is deleted. */
    readonly graceMs: number;
    /** How long a masked event without an original waits, milliseconds. */
    readonly waitMs: number;
    /** How long after a claim's end one of its requests could still land, milliseconds. */
    readonly lateRequestMs: number;
  };
  readonly output: {
    readonly references: 'plain' | 'sealed';
    readonly format: 'structured' | 'binary';
    maxRecordBytes(stream: Stream): number;
  };
}
