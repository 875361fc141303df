/**
 * The switches of the model. The first twelve are the rules of the protocol, in their order. The others are parts of rules
 * that have their own place in the code. The text of a switch says what is missing if it is off.
 */
export const RULES = {
  'publish-under-claim': '1: records are sent without asking for the claim, and a commit releases it',
  'epoch-in-token': '2: the idempotency token does not contain the epoch',
  'unknown-runs-out': '3: after an unknown outcome the same claim tries again, commits and is released',
  'commit-raises-epoch': '4: a commit without a write leaves the epoch as it is',
  'order-per-field': '5: an older event never sets a field that newer ones only masked',
  'writing-retired': '6: neither a commit nor the clean-up looks at names left as `writing`',
  'janitor-claim': '7: the janitor works without a claim, and nobody waits for `deleting`',
  'retire-in-commit': '8: retiring is a step after the commit',
  'durable-scan': '9: waiting events are only tried by whoever has just committed',
  'recorded-version': '10: a change of manager copies whatever is current',
  suspect: '11: nothing is marked as in doubt',
  'abandoned-in-doubt': 'part of 11: what was written before its event was given up is not put right',
  'plan-under-lock': '12: the plan is made before the claim and not checked again',
  'claim-before-write': 'part of 1: a request to the store starts without asking for the claim',
  'epoch-at-commit': 'part of 4: a commit does not ask for its epoch',
  'order-check': 'part of 12: what arrives is taken for the newest',
  'overtaken-kept':
    'part of 1: a newer revision takes the place of one that was not published, which gets no row',
  'epoch-at-mark': 'part of 1: a mark as published does not ask for its epoch',
  relay: 'part of 1: nobody publishes what was committed and not sent',
  'order-of-effects': 'part of 12: the offset is committed before the state',
  watermark: 'part of 12: an offset is committed although a record before it is not finished',
  'claim-kept': 'part of 3: the claim is released although a request may be on its way',
  'expected-version': 'a write does not name the version that it replaces, where the store would compare it',
  'repair-marked': 'part of 11: a repair does not renew the mark before its request is sent',
} as const;

export type Rule = keyof typeof RULES;
export const RULE_NAMES = Object.keys(RULES) as Rule[];

export function isRule(name: string): name is Rule {
  return name in RULES;
}
