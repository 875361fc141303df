import { describe, expect, it } from 'vitest';

import { holdsSecret, isSecretFlag, isStandIn, masksSecret } from '../../../src/catalog/secret-text.js';

describe('texts that contain a secret', () => {
  it.each([
    // No guess at place-holders: passwords begin like this, too.
    'postgresql://etl:$ecretPa55@db/sales',
    'postgres://user:${PASSWORD}@host/db',
    'postgres://user:<9kPa55@host/db',
    'postgres://user:[prod-2024]@host/db',
    'postgres://user:%(pa55@host/db',
    'postgres://user:***@host/db',
    'Server=h;Password={{ password }}',
    'Server=h;Uid=etl;Pwd=$ecretPa55;',
    'jdbc:postgresql://db/sales?user=etl&password=${aa9k',
    'host=db user=etl password=<9kPa55 dbname=sales',
    'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="[prod-2024]";',
    'https://user:hunter2@proxy.internal:3128',
    'postgresql+psycopg2://user:hunter2@host/db',
    'postgresql://user:hun/ter2@host/db',
    'postgresql://user:hun#ter?2@host/db',
    'postgresql://user:hun@ter2@host/db',
    'postgresql://user:hunter 2@host/db',
    'mysql://user@server:hunter2@server.mysql.database.azure.com/db',
    'redis://:hunter2@host:6379/0',
    'mongodb+srv://user:hunter2@cluster0.example.net/?retryWrites=true',
    'amqp://plain-host,amqp://user:hunter2@second-host',
    'http=http://proxy;https=http://user:hunter2@proxy',
    'Could not connect to postgres://user:hunter2@host/db: refused',
    'jdbc:postgresql://host/db?user=fred&password=hunter2&ssl=true',
    'jdbc:sqlserver://host:1433;databaseName=x;user=sa;password=hunter2;',
    'jdbc:oracle:thin:scott/tiger@//host:1521/service',
    'user:hunter2@host:3306/db',
    'host=h port=5432 user=u password=hunter2 dbname=d',
    "host=h password = 'hunter 2'",
    'Server=tcp:x.database.windows.net;User ID=u;Password=hunter2;Encrypt=True',
    'Driver={ODBC Driver 17};SERVER=h;UID=u;PWD=hunter2',
    'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aHVudGVyMg==;EndpointSuffix=core.windows.net',
    'Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=aHVudGVyMg==',
    'https://a.blob.core.windows.net/c?sv=2022-11-02&se=2030-01-01&sr=c&sig=aHVudGVyMg%3D%3D',
    'https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Signature=0123456789abcdef',
    'https://api.example.com/v1?access_token=hunter2',
    'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="hunter2";',
    '-Djavax.net.ssl.trustStorePassword=hunter2',
    '--password=hunter2',
    '{"type": "service_account", "private_key": "hunter2"}',
    '{\\"password\\": \\"hunter2\\"}',
    "{'password': 'hunter2'}",
    '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----',
    'Bearer abcdef123456',
    `Basic ${Buffer.from('user:hunter2').toString('base64')}`,
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c',
  ])('%s', (text) => {
    expect(holdsSecret(text)).toBe(true);
  });
});

describe('texts that contain no secret', () => {
  it.each([
    'https://host.example.com:8443/path?x=1',
    'https://host:8080/@scope/package',
    'https://host:8080/users?mail=a@b.c',
    'http://[2001:db8::1]:8080/a@b',
    '{"url":"https://host:8080","mail":"a@b.c"}',
    'mysql+pymysql://user@host:3306/db',
    's3://bucket/key',
    'jdbc:oracle:thin:@//host:1521/service',
    'jdbc:sqlserver://host:1433;databaseName=x;integratedSecurity=true',
    'host=h port=5432 user=u dbname=d',
    'mailto:someone@example.com',
    'a@b.c',
    'usePassword=true',
    'SELECT a FROM t WHERE b = 1',
    'Basic authentication',
    'Bearer authentication',
    'The password must be rotated.',
    '-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----',
    '-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----',
    'tokenURL=https://host/token',
    'arn:aws:secretsmanager:eu-west-1:1:secret:x',
    '',
    '://',
    '=',
  ])('%s', (text) => {
    expect(holdsSecret(text)).toBe(false);
  });
});

describe('texts that stand for a secret', () => {
  it.each([
    ...['*********', '***', 'secret:/openmetadata/database/x/password', 'secrets:a-b', 'secret:pa$$word'],
    'fernet:gAAAAABl_-0=',
  ])('%s', (text) => {
    expect(isStandIn(text)).toBe(true);
  });
  it.each(['secret: a word to the wise', 'secret:', 'fernet: branca', 'a secret:/x'])('not: %s', (text) => {
    expect(isStandIn(text)).toBe(false);
  });
});

describe('texts with a mask in place of a secret', () => {
  it.each([
    'postgres://user:***@host/db',
    'postgres://user:XXXXXXXXXX@host/db',
    'postgres://user:%2A%2A%2A%2A@host/db',
    'jdbc:oracle:thin:scott/********@//host:1521/service',
    'Server=h;Password=********;Encrypt=True',
    '{"user": "u", "password": "[hidden]"}',
  ])('%s', (text) => {
    expect(masksSecret(text)).toBe(true);
  });
  it.each(['postgres://user:hunter2@host/db', 'postgres://***@host/db', '{"password": "**"}', '***'])(
    'not: %s',
    (text) => {
      expect(masksSecret(text)).toBe(false);
    },
  );
});

it('knows the flags of a command line whose next word is a secret', () => {
  expect(['--password', '--api-key', '-token', '--private-key'].filter(isSecretFlag)).toHaveLength(4);
  expect(['--host', '-p', 'password', '--password=x', '--token-url'].filter(isSecretFlag)).toEqual([]);
});

it.each([
  ['://a:', 2_000_000],
  ['a=', 3_000_000],
  ['key=', 2_000_000],
  ['a-', 4_000_000],
  ['"a":', 2_000_000],
  ['"', 8_000_000],
  ['@', 8_000_000],
  ['a:', 4_000_000],
  ['x\n', 4_000_000],
  ...[
    ' \t',
    '::',
    '=>',
    '{"a":',
    '[',
    '%3D',
    '&quot;',
    '\\"',
    '<a ',
    '<password>',
    '<name>a',
    '--a ',
    'mysql -',
    'echo | ',
  ].map((piece): [string, number] => [piece, 200_000]),
  ...[
    'h:1:d:u:',
    'x@tcp(',
    'u:p@',
    'A/b@',
    'a@b:',
    'eyJ',
    '$6$',
    'login password ',
    'identified by ',
    '-----BEGIN ',
    'sk_live_',
    '-eyJaaaaaaaaaa',
    'AKIA-',
  ].map((piece): [string, number] => [piece, 100_000]),
  // The words of one line or value, tried against each other.
  ...[
    `htpasswd -${'b'.repeat(1_900)}\n`,
    `net ${'-U'.repeat(900)}\n`,
    `password: ${'a'.repeat(100)} z z `,
  ].map((piece): [string, number] => [piece, Math.round(4_000_000 / piece.length)]),
])('looks through megabytes of %.40j in linear time', (piece, times) => {
  const started = performance.now();
  holdsSecret(`${piece.repeat(times)}=@:`);
  // A quadratic rule would take hours.
  expect(performance.now() - started).toBeLessThan(15_000);
});

it.each(['eyJ', '$6$', 'sk-a', 'glpat-'])('does not overflow the stack on 16 MB of %j', (piece) => {
  expect(() => holdsSecret(piece.repeat(16_000_000 / piece.length))).not.toThrow();
});
