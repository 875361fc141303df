import { SERVICE_KINDS } from '../terms.js';
import type { EntityRoot, Kind } from '../terms.js';

/** What an entity type means for where secrets are looked for and how their ids begin. */
export interface EntityClass {
  /** The entity type in OpenMetadata's own spelling: `databaseService`, `mlmodelService`, `user`, … */
  readonly entityType: string;
  readonly root: EntityRoot;
  readonly kind: Kind;
}

function entityClasses(): Map<string, EntityClass> {
  const classes: EntityClass[] = [
    ...SERVICE_KINDS.map((kind) => ({ entityType: `${kind}Service`, root: 'service' as const, kind })),
    { entityType: 'user', root: 'bot', kind: 'bot' },
    { entityType: 'ingestionPipeline', root: 'ingestionPipeline', kind: 'pipeline' },
    { entityType: 'workflow', root: 'workflow', kind: 'workflow' },
  ];
  return new Map(classes.map((entry) => [entry.entityType.toLowerCase(), entry]));
}

const CLASSES = entityClasses();

/**
 * The class of an entity type, upper and lower case being the same (publishers write `mlmodelService` and
 * `mlModelService`); null where its secrets are not kept here.
 */
export function classOf(entityType: string): EntityClass | null {
  return CLASSES.get(entityType.toLowerCase()) ?? null;
}
