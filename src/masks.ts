/**
 * Masks: what programs show instead of a secret. A mask is never a value: this program does not write it, does not seal it,
 * and does not replace a stored secret by it.
 */

/** Whether it is a mask that we understand: the field keeps its stored secret. */
export function isMask(text: string): boolean {
  return UNDERSTOOD.test(text);
}
const UNDERSTOOD = /^[*•]{3,}$/;

/** No longer text is a mask, except one of stars alone. */
const LONGEST_MASK = 100;

const HIDING = 'redacted|hidden|masked|obfuscated|scrubbed|saniti[sz]ed|concealed|suppressed';
/** Words that are masks only in brackets: without brackets they may be a bad password. */
const HIDING_IN_BRACKETS = `${HIDING}|filtered|sensitive|protected|omitted|removed`;
const WHAT_IS_HIDDEN = 'value|password|secret|token|key|data';

/** Masks of other programs. We cannot tell whether they mean "as before", so we refuse the event. */
const FOREIGN: readonly RegExp[] = [
  // XXXXXXXXXX (Superset), -------- (Redash), ●●●● and the like of web forms, ☺☺☺☺ (Snowflake)
  /^([xX#●○·∙⋅◦■█▪☺?_.-])\1{3,}$/u,
  // XXXX-XXXX-XXXX
  /^[xX*•]{3,}(?:[ _-][xX*•]{3,})+$/,
  // ****1234, AKIA************, ab••••yz, XXXXXXXX1234
  /^[\w+/=.-]{0,8}(?:[*•●]{4,}|X{6,})[\w+/=.-]{0,8}$/,
  // REDACTED, __masked__, **HIDDEN**, *********(redacted) (Spark), hidden password
  new RegExp(
    String.raw`^[^\p{L}\p{N}]{0,20}(?:(?:${WHAT_IS_HIDDEN})[ _-])?(?:${HIDING})(?:[ _-](?:${WHAT_IS_HIDDEN}))?[^\p{L}\p{N}]{0,20}$`,
    'iu',
  ),
  // [hidden] (Kafka Connect), [Filtered] (Rails), <redacted>, (sensitive value) (Terraform)
  new RegExp(
    String.raw`^[[<({«]+ ?(?:(?:${WHAT_IS_HIDDEN})[ _-])?(?:${HIDING_IN_BRACKETS})(?:[ _-](?:${WHAT_IS_HIDDEN}))? ?[\])>}»]+$`,
    'iu',
  ),
  // Metabase, Elasticsearch, Ansible, NiFi
  /^(?:\*\*MetabasePass\*\*|::es_redacted::|VALUE_SPECIFIED_IN_NO_LOG_PARAMETER|Sensitive value set)$/i,
];

/** Part of every mask of another program: a cheap test for the many texts that are no mask. */
const MAY_BE_MASK = new RegExp(
  String.raw`([^\p{L}\p{N}\s]|x)\1\1|${HIDING_IN_BRACKETS}|es_redacted|no_log_param|metabasepass`,
  'iu',
);

/** Whether it is another program's mask, perhaps in quotes or with blanks around it. */
export function isForeignMask(text: string): boolean {
  if (text.length > LONGEST_MASK || !MAY_BE_MASK.test(text) || isMask(text)) return false;
  const bare = text.trim().replace(/^(["'])(.*)\1$/s, '$2');
  return isMask(bare) || FOREIGN.some((form) => form.test(bare));
}

/** Whether it is any mask: ours or another program's. */
export function isAnyMask(text: string): boolean {
  return isMask(text) || isForeignMask(text);
}

/** Whether part of a text may be masked. A broad guess: only for texts that are known to stand for a stored secret. */
export function mayHideSomething(text: string): boolean {
  return MAY_BE_MASK.test(text) && (isAnyMask(text) || PART.test(text));
}
const PART = new RegExp(String.raw`\*{3}|•{3}|●{3}|x{5}|[[<({](?:${HIDING_IN_BRACKETS})[\])>}]`, 'i');
