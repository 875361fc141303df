import type { IdStyle } from '../secrets-managers/port.js';

/** How a store's names are written (docs/secrets-managers.md). */
export interface StyleRules {
  readonly separator: string;
  /** Between prefix and cluster, where there is a prefix. */
  readonly prefixSeparator: string;
  readonly leading: string;
  /** One code point that is cleaned; always global and by code point. */
  readonly outside: RegExp;
  readonly replacement: string;
  /** The store's own limit of a name, in characters. */
  readonly maxIdLength: number;
  /** `strict` only: one code point that does not stand for itself, and the character that begins an escape. */
  readonly strictOutside: RegExp;
  readonly strictEscape: string;
}

export const STYLES: Readonly<Record<IdStyle, StyleRules>> = {
  slash: {
    separator: '/',
    prefixSeparator: '/',
    leading: '/',
    outside: /[^A-Za-z0-9/_-]/gu,
    replacement: '_',
    maxIdLength: 512,
    strictOutside: /[^a-z0-9-]/gu,
    strictEscape: '_',
  },
  azure: {
    separator: '-',
    prefixSeparator: '',
    leading: '',
    outside: /[^A-Za-z0-9-]/gu,
    replacement: '',
    maxIdLength: 127,
    strictOutside: /[^a-pr-z0-9]/gu,
    strictEscape: 'q',
  },
  gcp: {
    separator: '_',
    prefixSeparator: '',
    leading: '',
    outside: /[^A-Za-z0-9_]/gu,
    replacement: '',
    maxIdLength: 255,
    strictOutside: /[^a-pr-z0-9]/gu,
    strictEscape: 'q',
  },
  kubernetes: {
    separator: '-',
    prefixSeparator: '',
    leading: '',
    outside: /[^A-Za-z0-9]/gu,
    replacement: '-',
    maxIdLength: 253,
    strictOutside: /[^a-pr-z0-9]/gu,
    strictEscape: 'q',
  },
};

/**
 * One segment (an entity name or one key) as the style cleans it: one replacement per code point, then lower-cased.
 * In this order, so that lower-casing only ever sees ASCII: `İ` is one `_`, not `i_`, on every platform and locale.
 *
 * Array elements are keyed by this text. A slash within a segment stays in the style `slash`, as OpenMetadata leaves it.
 */
export function cleanSegment(style: IdStyle, text: string): string {
  const { outside, replacement } = STYLES[style];
  return text.replace(outside, replacement).toLowerCase();
}

/** Whether a cleaned segment would leave no trace in the id. */
export function isCleanedToNothing(style: IdStyle, cleaned: string): boolean {
  if (style === 'slash') return /^\/*$/.test(cleaned);
  // Kubernetes collapses runs of dashes and trims: a segment of dashes alone vanishes.
  return style === 'kubernetes' ? /^-*$/.test(cleaned) : cleaned === '';
}

/** What every id of this worker begins with, up to and including the separator before the kind. */
export function ownPrefixOf(style: IdStyle, prefix: string, cluster: string): string {
  const { leading, prefixSeparator, separator } = STYLES[style];
  const scope = prefix === '' ? cluster : `${prefix}${prefixSeparator}${cluster}`;
  return `${leading}${scope}${separator}`.toLowerCase();
}

/**
 * What is wrong with a prefix or cluster name, or null. Both stand in every id as they are (but for case), so they
 * must survive the style's cleaning, and must not make an empty level.
 */
export function scopeNameProblem(style: IdStyle, name: string): string | null {
  if (name.replaceAll(STYLES[style].replacement || '\0', '').search(STYLES[style].outside) >= 0)
    return `may only contain ${ALLOWED_CHARACTERS[style]}`;
  if (style === 'slash' && /^\/|\/$|\/\//.test(name)) return 'must not begin or end with / or contain //';
  if (style === 'kubernetes' && /^-|-$|--/.test(name)) return 'must not begin or end with - or contain --';
  return null;
}

const ALLOWED_CHARACTERS: Readonly<Record<IdStyle, string>> = {
  slash: 'A-Z, a-z, 0-9, /, _ and -',
  azure: 'A-Z, a-z, 0-9 and -',
  gcp: 'A-Z, a-z, 0-9 and _',
  kubernetes: 'A-Z, a-z, 0-9 and -',
};
