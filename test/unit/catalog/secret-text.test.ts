import { describe, expect, it } from 'vitest';

import { holdsSecret, isSecretFlag, isStandIn } from '../../../src/catalog/secret-text.js';

describe('texts that hold a secret', () => {
  it.each([
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

describe('texts that hold none', () => {
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
    'postgres://user:${PASSWORD}@host/db',
    'postgres://user:<password>@host/db',
    'postgres://user:***@host/db',
    'Server=h;Password={{ password }}',
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
  it.each(['*********', 'secret:/openmetadata/database/x/password', 'secrets:a-b', 'fernet:gAAAAABl_-0='])(
    '%s',
    (text) => {
      expect(isStandIn(text)).toBe(true);
    },
  );
  it.each(['********', 'secret: a word to the wise', 'secret:', 'fernet: branca', 'a secret:/x'])(
    'not: %s',
    (text) => {
      expect(isStandIn(text)).toBe(false);
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
])('looks through megabytes of %j in linear time', (piece, times) => {
  const started = performance.now();
  holdsSecret(`${piece.repeat(times)}=@:`);
  // A quadratic rule would take hours.
  expect(performance.now() - started).toBeLessThan(15_000);
});
