import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/errors.js';
import {
  createSecretIdBuilder,
  judgeReference,
  readingsOf,
  scopeNameProblem,
  type Verdict,
} from '../../../src/ids/index.js';

interface Case {
  readonly prefixes?: readonly string[];
  readonly allowed?: readonly string[];
  readonly own?: readonly string[];
  readonly others?: readonly string[];
}

function verdictOf(id: string, { prefixes, allowed = [], own = [], others = [] }: Case = {}): Verdict {
  return judgeReference(
    id,
    { isOwn: (name) => own.includes(name), isOthers: (name) => others.includes(name) },
    { ownPrefixes: prefixes ?? ['/openmetadata/'], allowedPrefixes: allowed },
  );
}

const ARN = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:';

describe('a name under our own prefix, however it is written', () => {
  it.each([
    '/openmetadata/database/x/password',
    '/openmetadata',
    '/OpenMetadata/Database/x',
    '//openmetadata//database/x',
    'openmetadata/database/x',
    '/./openmetadata/x',
    '/shared/../openmetadata/x',
    '/openmetadata/../other/x',
    '/openmetadata/database/x:3',
    '/openmetadata/database/x:current',
    `${ARN}/openmetadata/database/x/password-AbCdEf`,
    `${ARN}/openmetadata/database/x/password`,
    `${ARN}openmetadata/x`,
    'arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:/OpenMetadata/x-AbCdEf',
    'arn:aws-us-gov:secretsmanager:us-gov-west-1:210987654321:secret:/openmetadata/x-AbCdEf',
    'arn:aws:ssm:eu-west-1:123456789012:parameter/openmetadata/database/x',
    'arn:aws:ssm:eu-west-1:123456789012:parameter/openmetadata/database/x:2',
    'arn:aws:ssm:eu-west-1:123456789012:parameter/aws/reference/secretsmanager/openmetadata/x',
    '/aws/reference/secretsmanager/openmetadata/x',
    '/aws/reference/secretsmanager//openmetadata/x',
    '//aws//reference/secretsmanager///openmetadata/x',
    '/AWS/Reference/SecretsManager/openmetadata/x',
    '/aws/reference/secretsmanager/aws/reference/secretsmanager/openmetadata/x',
    '/aws/./reference/x/../secretsmanager/openmetadata/x',
    'aws/reference/secretsmanager/openmetadata/x:AWSPREVIOUS',
  ])('%s is foreign', (id) => {
    expect(verdictOf(id)).toBe('foreign');
  });

  it.each([
    '/team/openmetadata/x',
    '/openmetadata2/x',
    '/openmetadata-x/y',
    '/other/x',
    'team-a.mysql+ro=1@x!#2',
    `${ARN}/other/openmetadata/x-AbCdEf`,
    'arn:aws:ssm:eu-west-1:123456789012:parameter/team/x',
    '/aws/reference/secretsmanager/team/x',
    '/team/x:3',
  ])('%s is a user’s own', (id) => {
    expect(verdictOf(id)).toBe('external');
  });

  it.each(['/old/x', `${ARN}/old/x-AbCdEf`, '/team/old2/x', 'old3-database-x'])(
    'under a former cluster name or style: %s',
    (id) => {
      const prefixes = ['/openmetadata/', '/old/', '/team/old2/', 'old3-'];
      expect(verdictOf(id, { prefixes })).toBe('foreign');
      expect(verdictOf(id)).toBe('external');
    },
  );

  it.each([
    'OpenMetadata-Database-x',
    'https://v.vault.azure.net/secrets/openmetadata-database-x/0123',
    'namespace/openmetadata-bot-x',
  ])('without slashes: %s', (id) => {
    expect(verdictOf(id, { prefixes: ['openmetadata-'] })).toBe('foreign');
    expect(verdictOf('projects/p/secrets/openmetadata_x/versions/3', { prefixes: ['openmetadata_'] })).toBe(
      'foreign',
    );
    expect(verdictOf('other-openmetadata-x', { prefixes: ['openmetadata-'] })).toBe('external');
  });
});

describe('references that readers may disagree on', () => {
  it.each([
    '',
    ' ',
    'secret:/openmetadata/database/victim/password',
    '/opensecret:metadata/database/victim/password',
    '/opensecrets:metadata/database/victim/password',
    '/openSECRET:metadata/x',
    'sesecret:cret:/openmetadata/x',
    '/team/secret:3',
    ' /team/x',
    '/team/x\n',
    '/team/\u0000x',
    '/%6fpenmetadata/x',
    '\\openmetadata\\x',
    '/ｏpenmetadata/x',
    '/open\u200bmetadata/x',
    '/{{ssm:x}}',
    'arn:aws:secretsmanager:eu-west-1:123456789012:secret:',
    'arn:aws:secretsmanager:eu-west-1:1:secret:/team/x',
    'arn:aws:secretsmanager:eu-west-1:123456789012:secret:/team/x:password::',
    'arn:aws:secretsmanager:eu-west-1:123456789012:secret:secret:/team/x',
    'ARN:aws:secretsmanager:eu-west-1:123456789012:secret:/team/x',
    'x:arn:aws:secretsmanager:eu-west-1:123456789012:secret:/team/x',
    '/aws/reference/secretsmanager/arn:aws:secretsmanager:eu-west-1:123456789012:secret:/team/x',
    'arn:aws:ssm:eu-west-1:123456789012:parameter/secret:3',
    'arn:aws:kms:eu-west-1:123456789012:key/x',
    `/${'x'.repeat(2_048)}`,
  ])('%j is refused', (id) => {
    expect(verdictOf(id)).toBe('invalid');
    expect(verdictOf(id, { allowed: ['/', 'arn:', 'secret:', 's', 'x', 'A', ' '] })).toBe('invalid');
  });

  it('2,048 characters are not too long', () => {
    expect(verdictOf(`/${'x'.repeat(2_047)}`)).toBe('external');
  });
});

describe('ownership comes before allowed prefixes', () => {
  const id = '/shared/x';

  it('a connection’s own secret is always owned, whatever the lists say', () => {
    expect(verdictOf(id, { own: [id], others: [id], allowed: ['/y/'] })).toBe('owned');
  });

  it.each([
    id,
    `${id}:3`,
    `/SHARED/X`,
    `${ARN}${id}-AbCdEf`,
    `${ARN}${id}`,
    `arn:aws:ssm:eu-west-1:123456789012:parameter${id}`,
    `/aws/reference/secretsmanager/${id}`,
    'shared/x',
  ])('another connection’s, as %s', (spelling) => {
    expect(verdictOf(spelling, { others: [id], allowed: ['/', 'arn:', 'shared'] })).toBe('foreign');
  });

  it.each(['/openmetadata/', '/', '/openmetadata/database/'])(
    'the allowed prefix %s gives no access to secrets of ours',
    (allowed) => {
      expect(verdictOf('/openmetadata/database/x/password', { allowed: [allowed] })).toBe('foreign');
    },
  );

  const allowed = ['/shared/', 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:/shared/'];
  it.each(['/shared/x', '/shared/a/b', `${ARN}/shared/x-AbCdEf`, '/shared/..x'])('allowed: %s', (one) =>
    expect(verdictOf(one, { allowed })).toBe('external'),
  );
  it.each([
    '/other/x',
    '/Shared/x',
    '/shared',
    '/shared/../x',
    '/shared/./x',
    '/shared//x',
    '/shared/..',
    `${ARN}/other/x`,
  ])('not allowed: %s', (one) => expect(verdictOf(one, { allowed })).toBe('not-allowed'));
});

it('holds for every id that is built, in every style', () => {
  for (const idStyle of ['slash', 'azure', 'gcp', 'kubernetes'] as const)
    for (const strict of [true, false]) {
      const one = createSecretIdBuilder({ idStyle, strict, prefix: 'T', cluster: 'Om', maxIdLength: 512 });
      const id = one.build('database', 'My Svc', ['a', 'b'], 'id');
      expect(id.startsWith(one.ownPrefix)).toBe(true);
      expect(verdictOf(id, { prefixes: one.ownPrefixes })).toBe('foreign');
    }
});

it('readings of an ARN end with the name, with and without what Secrets Manager puts behind it', () => {
  expect(readingsOf(`${ARN}/Team/x-AbCdEf`)).toEqual(
    expect.arrayContaining(['/Team/x-AbCdEf', '/Team/x', '/team/x']),
  );
});

describe('prefix and cluster', () => {
  it.each([
    ['slash', 'a b'],
    ['slash', 'a.b'],
    ['slash', '/a'],
    ['slash', 'a/'],
    ['slash', 'a//b'],
    ['slash', 'é'],
    ['azure', 'a_b'],
    ['gcp', 'a-b'],
    ['kubernetes', 'a_b'],
    ['kubernetes', '-a'],
    ['kubernetes', 'a--b'],
  ] as const)('%s refuses %s', (style, name) => {
    expect(scopeNameProblem(style, name)).not.toBeNull();
    const options = { idStyle: style, strict: false, maxIdLength: 512 };
    expect(() => createSecretIdBuilder({ ...options, prefix: name, cluster: 'c' })).toThrow(
      ConfigurationError,
    );
    expect(() => createSecretIdBuilder({ ...options, prefix: '', cluster: name })).toThrow(
      ConfigurationError,
    );
  });

  it.each([
    ['slash', 'Team-1/eu_2'],
    ['azure', 'a-b'],
    ['gcp', 'a_b'],
    ['kubernetes', 'a-b'],
  ] as const)('%s accepts %s', (style, name) => expect(scopeNameProblem(style, name)).toBeNull());
});
