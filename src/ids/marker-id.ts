import type { IdStyle } from '../secrets-managers/port.js';
import { ownPrefixOf } from './secret-id.js';

/**
 * The id under which a store remembers who works on it: below our own prefix, which our permissions cover, where the kind
 * of a connection stands in every other id. No kind is called so.
 */
export function markerIdOf(style: IdStyle, prefix: string, cluster: string): string {
  const own = ownPrefixOf(style, prefix, cluster);
  return style === 'slash'
    ? `${own}connection-secrets-worker/installation`
    : `${own}connection-secrets-worker-installation`.replaceAll('-', style === 'gcp' ? '_' : '-');
}
