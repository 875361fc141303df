import type { FieldFinder } from '../catalog/field-finder.js';
import type { SecretIdBuilder } from '../ids/index.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { Stream } from '../transport.js';

/** A Fernet key ring as the pipeline uses it: raw tokens, without the `fernet:` prefix. */
export interface Sealer {
  seal(text: string): string;
  open(token: string): string;
}

/** Seals the tokens of secured events. */
export interface SecuredSealer extends Sealer {
  /** Identifies the first key without revealing it. */
  readonly primaryKeyId: string;
  /** As `KeyRing.sealRepeatably`. */
  sealRepeatably(text: string, place: string, timeMs: number): string;
}

/** Opens managers by name, so that values can be read from a former one. */
export interface ManagerSource {
  /**
   * Opens each manager once, under the same settings as the active one.
   * @throws ConfigurationError if these settings are not enough for it
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
    /** Null: events with sealed fields are refused. */
    readonly publisher: Sealer | null;
    readonly ingestion: SecuredSealer;
    readonly deadLetter: Sealer;
    readonly outbox: Sealer;
  };
  readonly fingerprintKey: Buffer;
  readonly generation: number;
  readonly rules: {
    readonly adopt: boolean;
    /** The decisions of a run of `adopt`, as `adoptionGrant` writes them. Null: no such run, events decide. */
    readonly grants: ReadonlySet<string> | null;
    /** `sealed`: an event with a plain-text value is refused. */
    readonly sourceValues: 'any' | 'sealed';
    /** How to treat an event that masks a secret and changes the endpoint that the secret is sent to. */
    readonly maskedSecretOnNewEndpoint: 'allow' | 'refuse';
    /** How to treat a free text that quotes a secret of its event. */
    readonly secretQuoted: 'mask' | 'refuse' | 'report';
    readonly allowedReferencePrefixes: readonly string[];
    /** `bound`: a publisher's token must say which field it is for. */
    readonly publisherTokens: 'bound' | 'any';
    /** Milliseconds from retiring a secret until its deletion. */
    readonly graceMs: number;
    /** How long an event waits whose mask has no stored value yet, milliseconds. */
    readonly waitMs: number;
    /** How long after a claim's end one of its requests may still reach the store, milliseconds. */
    readonly lateRequestMs: number;
  };
  readonly output: {
    readonly references: 'plain' | 'sealed';
    readonly format: 'structured' | 'binary';
    maxRecordBytes(stream: Stream): number;
  };
}
