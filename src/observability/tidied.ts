import type { Logger } from './logger.js';

/** Says what a round of the janitor did; nothing where it did nothing. */
export function logTidied(
  logger: Logger,
  counts: { readonly deleted: number; readonly repaired: number; readonly lost: number },
): void {
  if (counts.deleted + counts.repaired > 0) logger.info(counts, 'stored secrets looked after');
  if (counts.lost > 0)
    logger.error(
      { lost: counts.lost, code: 'SECRET_VERSION_GONE' },
      'the store has lost recorded versions: see `dead-letters list --code SECRET_VERSION_GONE`, publish those entities again',
    );
}
