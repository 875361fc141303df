import type { IdStyle } from '../secrets-managers/port.js';
import { ownPrefixOf } from './secret-id.js';

/**
 * The id of the marker, which tells a store which installation works on it. It lies below our own prefix, because our
 * permissions cover that. Every other id has a kind of connection in the marker's place, and no kind has its name.
 */
export function markerIdOf(style: IdStyle, prefix: string, cluster: string): string {
  const own = ownPrefixOf(style, prefix, cluster);
  return style === 'slash'
    ? `${own}connection-secrets-worker/installation`
    : `${own}connection-secrets-worker-installation`.replaceAll('-', style === 'gcp' ? '_' : '-');
}
