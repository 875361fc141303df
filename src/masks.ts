/**
 * What programs show in place of a secret. One definition for all of this program: a mask is never a value, it is neither
 * written, nor sealed, nor does it take the place of a stored secret.
 */

/** A mask that we understand: the field keeps what is stored for it. */
export function isMask(text: string): boolean {
  return UNDERSTOOD.test(text);
}
const UNDERSTOOD = /^[*•]{3,}$/;

/** Longer texts are no masks, but for one of stars alone. */
const LONGEST_MASK = 100;

const HIDING = 'redacted|hidden|masked|obfuscated|scrubbed|saniti[sz]ed|concealed|suppressed';
/** Words that hide only between brackets: alone they may be a bad password. */
const HIDING_IN_BRACKETS = `${HIDING}|filtered|sensitive|protected|omitted|removed`;
const WHAT_IS_HIDDEN = 'value|password|secret|token|key|data';

/** What other programs write. We cannot tell whether it means "as before", so the event is refused. */
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

/** What every mask of another program has in it: a cheap look at the many texts that are none. */
const MAY_BE_MASK = new RegExp(
  String.raw`([^\p{L}\p{N}\s]|x)\1\1|${HIDING_IN_BRACKETS}|es_redacted|no_log_param|metabasepass`,
  'iu',
);

/** Another program's mask, also in quotes or with blanks around it. */
export function isForeignMask(text: string): boolean {
  if (text.length > LONGEST_MASK || !MAY_BE_MASK.test(text) || isMask(text)) return false;
  const bare = text.trim().replace(/^(["'])(.*)\1$/s, '$2');
  return isMask(bare) || FOREIGN.some((form) => form.test(bare));
}

/** A mask of anybody: ours or another program's. */
export function isAnyMask(text: string): boolean {
  return isMask(text) || isForeignMask(text);
}

/** A text in which some part may be hidden. A broad guess: only for texts that are known to stand for a stored secret. */
export function mayHideSomething(text: string): boolean {
  return MAY_BE_MASK.test(text) && (isAnyMask(text) || PART.test(text));
}
const PART = new RegExp(String.raw`\*{3}|•{3}|●{3}|x{5}|[[<({](?:${HIDING_IN_BRACKETS})[\])>}]`, 'i');
