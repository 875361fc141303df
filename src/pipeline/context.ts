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
    readonly publisher: Sealer;
    readonly ingestion: Sealer;
    readonly deadLetter: Sealer;
  };
  readonly fingerprintKey: Buffer;
  readonly generation: number;
  readonly rules: {
    readonly adopt: boolean;
    readonly allowedReferencePrefixes: readonly string[];
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
