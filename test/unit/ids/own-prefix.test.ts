import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/errors.js';
import { createSecretIdBuilder, isAllowedReference, scopeNameProblem } from '../../../src/ids/index.js';
import type { IdStyle } from '../../../src/secrets-managers/port.js';

const builder = (idStyle: IdStyle, prefix = ''): ReturnType<typeof createSecretIdBuilder> =>
  createSecretIdBuilder({ idStyle, strict: false, prefix, cluster: 'openmetadata', maxIdLength: 512 });

describe('isUnderOwnPrefix', () => {
  it.each([
    '/openmetadata/database/x/password',
    '/OpenMetadata/Database/x',
    '//openmetadata//database/x',
    'openmetadata/database/x',
    ' /openmetadata/x',
    '/openmetadata\t/x',
    '/./openmetadata/x',
    '/shared/../openmetadata/x',
    '/openmetadata/../other/x',
    '/%6fpenmetadata/x',
    '/%256fpenmetadata/x',
    '%2fopenmetadata%2Fx',
    '/%zz/../openmetadata/x',
    '\\openmetadata\\x',
    '/ｏpenmetadata/x',
    '/open\u200bmetadata/x',
    '/openmetadata/database/x:3',
    'arn:aws:secretsmanager:eu-west-1:123456789012:secret:/openmetadata/database/x/password-AbCdEf',
    'arn:aws:ssm:eu-west-1:123456789012:parameter/openmetadata/database/x',
    'ARN:aws-cn:ssm:cn-north-1:1:parameter/openmetadata/x',
  ])('takes %j for ours', (id) => {
    expect(builder('slash').isUnderOwnPrefix(id)).toBe(true);
  });

  it.each([
    '/team/openmetadata/x',
    '/openmetadata2/x',
    '/openmetadata-x/y',
    '/other/x',
    '',
    '/',
    'arn:aws:secretsmanager:eu-west-1:123456789012:secret:/other/openmetadata/x-AbCdEf',
  ])('leaves %j to its owner', (id) => {
    expect(builder('slash').isUnderOwnPrefix(id)).toBe(false);
  });

  it('knows its prefix and cluster together', () => {
    expect(builder('slash', 'Team').isUnderOwnPrefix('/team/openmetadata/x')).toBe(true);
    expect(builder('slash', 'Team').isUnderOwnPrefix('/openmetadata/x')).toBe(false);
  });

  it.each([
    ['azure', 'OpenMetadata-Database-x'],
    ['azure', 'https://v.vault.azure.net/secrets/openmetadata-database-x/0123'],
    ['gcp', 'projects/p/secrets/openmetadata_database_x/versions/3'],
    ['gcp', 'openmetadata_x'],
    ['kubernetes', 'openmetadata-bot-x'],
    ['kubernetes', 'namespace/openmetadata-bot-x'],
  ] as const)('%s: takes %s for ours', (style, id) => {
    expect(builder(style).isUnderOwnPrefix(id)).toBe(true);
    expect(builder(style).isUnderOwnPrefix('other-openmetadata-x')).toBe(false);
  });

  it('holds for every id it builds, strict ones included', () => {
    for (const idStyle of ['slash', 'azure', 'gcp', 'kubernetes'] as const) {
      for (const strict of [true, false]) {
        const one = createSecretIdBuilder({ idStyle, strict, prefix: 'T', cluster: 'Om', maxIdLength: 512 });
        const id = one.build('database', 'My Svc', ['a', 'b'], 'id');
        expect(id.startsWith(one.ownPrefix)).toBe(true);
        expect(one.isUnderOwnPrefix(id)).toBe(true);
      }
    }
  });
});

describe('isAllowedReference', () => {
  const allowed = ['/shared/', 'arn:aws:secretsmanager:eu-west-1:1:secret:/shared/'];
  it.each([
    '/shared/x',
    '/shared/a/b',
    'arn:aws:secretsmanager:eu-west-1:1:secret:/shared/x-AbCdEf',
    '/shared/..x',
  ])('accepts %s', (id) => expect(isAllowedReference(id, allowed)).toBe(true));
  it.each([
    '/other/x',
    '/Shared/x',
    '/shared',
    '/shared/../x',
    '/shared/./x',
    '/shared//x',
    '/shared/%2e%2e/x',
    '/shared/a\\b',
    '/shared/a b',
    '/shared/..',
  ])('refuses %s', (id) => expect(isAllowedReference(id, allowed)).toBe(false));
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
