// What a reader stumbles over, and what to write. `scripts/prose.mjs` looks for it.
/** @type {readonly (readonly [RegExp, string])[]} */
export const RULES = [
  [/\bcan\s+not\b/giu, 'write "cannot"'],
  [/\bfor\s+ever\b/giu, 'write "forever", or say until when'],
  [/\ball\s+the\s+same\b/giu, 'write "anyway"'],
  [/\bas\s+ever\b/giu, 'write "as before"'],
  [/\bin\s+vain\b/giu, 'write "without success", or say what failed'],
  [/\bbehind\s+(our|its|his|their)\s+backs?\b/giu, 'say who changes what'],
  [/\bnobody['’]s\b/giu, 'say who owns it, or that it has no owner'],
  [/\b(by|ends|concerns|asks|reaches)\s+nobody\b/giu, 'say who does what'],
  [/\b(is|was|are|were)\s+not\s+asked\s+(about|for)\b/giu, 'say who does not ask whom'],
  [/\bof\s+unknown\s+outcome\b/giu, 'say what is not known'],
  [/\bas\s+long\s+as\s+it\s+takes\b/giu, 'say until when'],
  [/\bbrings?\s+(it|them)\s+along\b/giu, 'say what moves with what'],
  [/\b(hold|holds|held)\s+(?:[\p{L}-]+\s+){1,4}against\s+(?:the|each|what|its)\b/giu, 'write "compare with"'],
  // Words that mean several things: each of these has one of its own.
  [/\bthe\s+(ruling|encounter|bell)s?\b/giu, 'write "field decision", "input", "wake-up"'],
  [/\bat\s+home\s+in\b/giu, 'write "in the active manager"'],
  [/\bDESIGN\s+§|\bPROTOCOL\.md\b/gu, 'refer to what is in this repository'],
  [/(?<!@param\s)(?<!-)\b(?!that\b|had\b)(\p{L}{2,})\s+\1\b/giu, 'the word stands there twice'],
];
