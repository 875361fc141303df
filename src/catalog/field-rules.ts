import { isForeignMask, isMask, mayHideSomething } from '../masks.js';
import { MASK } from '../terms.js';
import type { KeyMeaning } from './key-names.js';
import { isAnswer } from './members.js';
import { holdsSecret, isReferenceText, isSealedText, isStandIn, masksSecret } from './secret-text.js';

/**
 * What a string that no schema declares is.
 *
 * - `because`: its key says that it is a secret; its text holds one; it stands for one; something in it is hidden
 * - `onlyIfStored`: it stands for a secret where one is stored for its field, and else for nothing
 */
export interface TextFinding {
  readonly because: 'name' | 'url' | 'reference' | 'mask';
  readonly onlyIfStored: boolean;
}

/** @param isConfiguration whether the text belongs to what connects, and not to what people read */
export function findingOf(
  text: string,
  meaning: KeyMeaning,
  isConfiguration: () => boolean,
): TextFinding | null {
  if (meaning !== 'plain' && !isAnswer(text, meaning)) return { because: 'name', onlyIfStored: false };
  if (text === MASK || isReferenceText(text) || isSealedText(text))
    return { because: 'reference', onlyIfStored: false };
  if (holdsSecret(text)) {
    if (!masksSecret(text)) return { because: 'url', onlyIfStored: false };
    // A masked address connects to nothing: it is refused, but in a text for people, where it is an example.
    return { because: 'mask', onlyIfStored: !isConfiguration() };
  }
  if (!mayHideSomething(text)) return null;
  return { because: isMask(text) ? 'reference' : 'mask', onlyIfStored: true };
}

/** Whether a text is no value, but stands for one, or has a part that does. */
export function standsForSecret(text: string): boolean {
  return isStandIn(text) || isForeignMask(text) || masksSecret(text);
}

/** A key that is a secret itself, such as a URL with a password: it can be neither replaced nor left. */
export function isSecretKeyText(key: string): boolean {
  return (key.includes('://') || key.includes('@') || key.includes('=')) && holdsSecret(key);
}
