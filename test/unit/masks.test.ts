import { describe, expect, it } from 'vitest';
import { isAnyMask, isForeignMask, isMask, mayHideSomething } from '../../src/masks.js';
import { MASK } from '../../src/terms.js';

describe('masks', () => {
  it.each([MASK, '***', '********', '••••••••', '•••', '*'.repeat(5_000_000)])('%.20s is ours', (text) => {
    expect([isMask(text), isForeignMask(text)]).toEqual([true, false]);
  });

  it.each([
    ...['XXXXXXXXXX', 'xxxx', 'XXXX-XXXX-XXXX', '--------', '########', '●●●●●●', '☺☺☺☺', '......'],
    ...['[hidden]', '[REDACTED]', '<redacted>', '<hidden>', '<masked>', '(hidden)', 'REDACTED', '__masked__'],
    ...['[Filtered]', '[FILTERED]', '(sensitive value)', '<sensitive>', '**REDACTED**', '{redacted}'],
    ...['<password hidden>', 'hidden password', '[value masked]', '*********(redacted)', '<sanitized>'],
    ...['****1234', 'AKIA************', '****************ABCD', 'ab••••yz', 'XXXXXXXX1234'],
    ...['**MetabasePass**', '::es_redacted::', 'VALUE_SPECIFIED_IN_NO_LOG_PARAMETER', 'Sensitive value set'],
    ...[' *** ', '"********"', "'[hidden]'"],
  ])('%s is another program’s', (text) => {
    expect([isMask(text), isForeignMask(text), isAnyMask(text)]).toEqual([false, true, true]);
  });

  it.each([
    ...[
      '',
      '*',
      '**',
      '••',
      'xxx',
      'X',
      '$ecretPa55',
      '${PASSWORD}',
      '{{ password }}',
      '<password>',
      '[prod-2024]',
    ],
    ...[
      'p***w0rd!',
      '***Hello, world***',
      'hidden-treasure',
      'unmasked',
      'filtered',
      'xXxX',
      'mask',
      '%(password)s',
    ],
    ...['hunter2', 'a'.repeat(50), `${'*'.repeat(9)}${'x'.repeat(200)}`, '[the hidden door]'],
  ])('%s is a text', (text) => {
    expect(isAnyMask(text)).toBe(false);
  });

  it('looks for hidden parts of a text', () => {
    const some = ['https://***@host', 'user=u;pwd=XXXXX', 'x (redacted) y', 'login u <hidden>'];
    expect(some.filter(mayHideSomething)).toEqual(some);
    expect(['https://host', 'SELECT * FROM t', 'a ** b'].filter(mayHideSomething)).toEqual([]);
  });
});
