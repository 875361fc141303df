import { describe, expect, it } from 'vitest';
import { classify } from '../../../src/secrets-managers/aws-client/errors.js';
import { limitViolation } from '../../../src/secrets-managers/limits.js';
import { ownerOf, Ownership } from '../../../src/secrets-managers/ownership.js';
import { mapLimited } from '../../../src/secrets-managers/port.js';
import { ssmLimits } from '../../../src/secrets-managers/aws-ssm/limits.js';
import { SecretValue } from '../../../src/secret-value.js';

const MARKER = 'MARKER-51c0';

function errorNamed(name: string, more: object = {}): Error {
  return Object.assign(new Error(`Value '${MARKER}' at 'secretString' failed`), { name, ...more });
}

const AT = { host: 'ssm.test:9', region: 'eu-west-1' };

describe('classify', () => {
  it.each([
    ['ThrottlingException', 400, 'transient', 'no'],
    ['TooManyUpdates', 400, 'transient', 'no'],
    ['InternalServiceError', 500, 'transient', 'unknown'],
    ['ServiceUnavailable', 503, 'transient', 'unknown'],
    ['UnknownError', 404, 'transient', 'unknown'],
    ['UnknownError', 403, 'access', 'no'],
    ['UnknownError', 429, 'transient', 'no'],
    ['AccessDeniedException', 400, 'access', 'no'],
    ['ExpiredTokenException', 400, 'credentials', 'no'],
    ['UnrecognizedClientException', 400, 'credentials', 'no'],
    ['CredentialsProviderError', null, 'credentials', 'no'],
    ['LimitExceededException', 400, 'quota', 'no'],
    ['ParameterLimitExceeded', 400, 'quota', 'no'],
    ['ResourceNotFoundException', 400, 'not-found', 'no'],
    ['ParameterNotFound', 400, 'not-found', 'no'],
    ['ResourceExistsException', 400, 'conflict', 'no'],
    ['ValidationException', 400, 'invalid', 'no'],
    ['TimeoutError', null, 'transient', 'unknown'],
    ['AbortError', null, 'transient', 'unknown'],
    ['SyntaxError', 200, 'transient', 'unknown'],
  ])('%s with %s is %s, applied: %s', (name, status, errorClass, applied) => {
    const error = errorNamed(name, status === null ? {} : { $metadata: { httpStatusCode: status } });
    const { failure, name: told } = classify('aws-ssm', 'PutParameter', error, { ...AT, sent: true });
    expect(failure.error).toMatchObject({ class: errorClass, applied });
    expect(told).toBe(name);
  });

  it.each([
    ['ECONNRESET', 'unknown'],
    ['EPIPE', 'unknown'],
    ['ECONNREFUSED', 'no'],
    ['ENOTFOUND', 'no'],
    ['EAI_AGAIN', 'no'],
  ])('the system’s %s is transient, applied: %s', (code, applied) => {
    const { failure } = classify('aws-ssm', 'PutParameter', errorNamed('Error', { code }), {
      ...AT,
      sent: true,
    });
    expect(failure.error).toMatchObject({ class: 'transient', applied });
  });

  it('knows that what was never sent was not applied', () => {
    const { failure } = classify('aws-ssm', 'PutParameter', errorNamed('TimeoutError'), {
      ...AT,
      sent: false,
    });
    expect(failure.error.applied).toBe('no');
  });

  it('tells of a certificate that is not trusted', () => {
    const error = errorNamed('Error', { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    const { failure } = classify('aws-ssm', 'PutParameter', error, { ...AT, sent: true });
    expect(failure.error).toMatchObject({ class: 'transient', applied: 'unknown' });
    expect(failure.error.message).toContain('UNABLE_TO_VERIFY_LEAF_SIGNATURE at ssm.test:9');
  });

  it.each([
    errorNamed('ValidationException'),
    errorNamed(`${MARKER} '"`),
    MARKER,
    null,
    { name: MARKER + '!' },
  ])('lets no text of the other side through', (error) => {
    const told = classify('aws-ssm', 'PutParameter', error, { ...AT, sent: true });
    expect(JSON.stringify(told)).not.toContain(MARKER);
    expect(told.failure.error.message).toMatch(
      /^aws-ssm: PutParameter failed with \w+( at ssm\.test:9, region eu-west-1: check OM_SM_REGION, AWS_ENDPOINT_URL and the network)?$/,
    );
  });
});

describe('ownership', () => {
  const item = { connectionId: 'a', adopt: false };
  const of = (
    id: string,
    tagged: 'all' | 'some' | 'own' = 'all',
    tags: { key: string; value: string }[] = [],
  ) => new Ownership({ installation: { id, tagged }, tags });

  it('reads back whose secret it is, whatever tags are configured', () => {
    const tags = of('i1', 'all', [
      { key: 'team', value: 'x' },
      { key: 'managed-by', value: 'forged' },
      { key: 'installation', value: 'forged' },
    ])
      .tagsFor('a')
      .map(({ key, value }) => ({ Key: key, Value: value }));
    expect(ownerOf(tags)).toEqual({ connectionId: 'a', installation: 'i1' });
    expect(tags.map((tag) => tag.Key)).toEqual(['managed-by', 'connection-id', 'installation', 'team']);
    expect(ownerOf([{ Key: 'connection-id', Value: 'a' }])).toBeNull();
    expect(ownerOf(undefined)).toBeNull();
  });

  it.each([
    ['a', 'i1', {}, 'ours'],
    ['a', null, {}, 'complete'],
    [null, null, {}, 'refuse'],
    [null, null, { adopt: true }, 'claim'],
    ['b', 'i1', {}, 'refuse'],
    ['b', 'i1', { adopt: true }, 'refuse'],
    ['b', 'i1', { takeOverFrom: 'b' }, 'claim'],
    ['b', null, { takeOverFrom: 'b' }, 'claim'],
    ['c', 'i1', { takeOverFrom: 'b', adopt: true }, 'refuse'],
    [null, null, { takeOverFrom: 'b' }, 'refuse'],
    ['a', 'i2', {}, 'refuse'],
    ['a', 'i2', { adopt: true }, 'refuse'],
    ['b', 'i2', { takeOverFrom: 'b', adopt: true }, 'refuse'],
    ['a', 'i1', { createOnly: true }, 'refuse'],
    [null, null, { adopt: true, createOnly: true }, 'refuse'],
  ])('connection %s, installation %s, %o: %s', (connectionId, installation, more, verdict) => {
    const own = of('i1');
    const owner = connectionId === null ? null : { connectionId, installation };
    expect(own.judge(own.standingOf(owner), { ...item, ...more })).toBe(verdict);
  });

  it('takes what carries no installation for the original’s where the database is a copy', () => {
    const untold = { connectionId: 'a', installation: null };
    const mine = { connectionId: 'a', installation: 'i1' };
    const copy = of('i1', 'own');
    expect(copy.judge(copy.standingOf(untold), item)).toBe('refuse');
    expect(copy.judge(copy.standingOf(mine), item)).toBe('ours');
    expect([copy.looksFirst, of('i1', 'some').looksFirst, of('i1').looksFirst]).toEqual([true, true, false]);
  });

  it('writes nothing for whoever was opened to read', () => {
    const reader = new Ownership({ tags: [] });
    expect(() => reader.tagsFor('a')).toThrow('opened for reading');
    expect(reader.standingOf({ connectionId: 'a', installation: 'i1' }).ownedBy).toBeNull();
  });
});

describe('limitViolation', () => {
  it.each([
    ['/a/b', 'x'.repeat(4_097), 'VALUE_TOO_LONG'],
    ['/a/b', 'é'.repeat(2_049), 'VALUE_TOO_LONG'],
    ['/a/b', '', 'VALUE_REFUSED_BY_STORE'],
    ['/a/b', `${MARKER}{{`, 'VALUE_REFUSED_BY_STORE'],
    ['/aws/b', 'x', 'SECRET_ID_INVALID'],
    [`/${'a'.repeat(2_000)}`, 'x', 'SECRET_ID_INVALID'],
    [`/${'a/'.repeat(15)}b`, 'x', 'SECRET_ID_INVALID'],
  ])('%.20s', (id, value, code) => {
    const violation = limitViolation(ssmLimits('standard'), id, new SecretValue(value));
    expect(violation?.code).toBe(code);
    expect(violation?.message).not.toContain(MARKER);
  });

  it('passes what fits to the byte', () => {
    expect(limitViolation(ssmLimits('standard'), '/a', new SecretValue('é'.repeat(2_048)))).toBeNull();
    expect(limitViolation(ssmLimits('advanced'), '/a', new SecretValue('x'.repeat(8_192)))).toBeNull();
  });
});

describe('mapLimited', () => {
  it('keeps the order and its limit', async () => {
    let running = 0;
    let most = 0;
    const results = await mapLimited([5, 1, 4, 2, 3], 2, async (item) => {
      running += 1;
      most = Math.max(most, running);
      for (let turn = 0; turn < item; turn += 1) await Promise.resolve();
      running -= 1;
      return item * 10;
    });
    expect(results).toEqual([50, 10, 40, 20, 30]);
    expect(most).toBe(2);
  });

  it('awaits what is under way before it throws, and begins nothing more', async () => {
    const ended: number[] = [];
    const begun: number[] = [];
    const work = mapLimited([0, 1, 2, 3], 2, async (item) => {
      begun.push(item);
      if (item === 0) throw new Error('first');
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
      ended.push(item);
    });
    await expect(work).rejects.toThrow('first');
    expect(begun).toEqual([0, 1]);
    expect(ended).toEqual([1]);
  });
});
