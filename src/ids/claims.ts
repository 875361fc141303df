import type { IdStyle } from '../secrets-managers/port.js';
import { cleanSegment, STYLES } from './styles.js';

/**
 * Why an entity's ids could be meant for another entity, too; null: they are its alone. An id is made of a name with
 * losses: `Fin`, `fin` and `f.in` may share one, and a name with a separator in it reaches into the ids of another.
 * Whoever adopts a secret by its name must be the only one who can mean it.
 */
export function sharedNameReason(style: IdStyle, kindSegment: string, entityName: string): string | null {
  if (kindSegment === 'pipeline')
    return 'pipeline services and ingestion pipelines share these ids, and ingestion pipelines of several services may have one name';
  if (entityName !== cleanSegment(style, entityName)) return 'the id does not keep the name as it is';
  if (entityName.includes(STYLES[style].separator))
    return `the name contains ${STYLES[style].separator}, which separates the parts of an id`;
  return null;
}
