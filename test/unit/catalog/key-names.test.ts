import { describe, expect, it } from 'vitest';

import { meaningOfKey } from '../../../src/catalog/key-names.js';
import { readTestData } from './support.js';

interface ByName {
  readonly told: readonly string[];
  readonly plainKeys: readonly string[];
  readonly plainKeysThatAreSecrets: readonly string[];
  readonly leftInTheClear: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

const lists = readTestData('by-name.json') as ByName;
const isSecret = (key: string): boolean => meaningOfKey(key) !== 'plain';

describe('secrets by the name of their key', () => {
  it('recognises every secret name and no plain one', () => {
    const missed = lists.told.filter((key) => !isSecret(key));
    const plain = lists.plainKeys.filter((key) => !lists.plainKeysThatAreSecrets.includes(key));
    const wrong = plain.filter(isSecret);
    console.info(
      `by name: ${lists.told.length - missed.length} of ${lists.told.length} told names recognised, ` +
        `${wrong.length} false positives over ${plain.length} plain names`,
    );
    expect({ missed, wrong }).toEqual({ missed: [], wrong: [] });
    expect(lists.plainKeysThatAreSecrets.filter((key) => !isSecret(key))).toEqual([]);
  });

  it('recognises every field that a version left in the clear', () => {
    const keys = Object.values(lists.leftInTheClear).flatMap((connectors) =>
      Object.values(connectors).flatMap((paths) =>
        paths.map((path) => path.slice(path.lastIndexOf('.') + 1)),
      ),
    );
    expect(keys.length).toBeGreaterThan(150);
    expect(keys.filter((key) => !isSecret(key))).toEqual([]);
  });

  it.each(
    `sasl.jaas.config X-Api-Key access_token Authorization Proxy-Authorization Cookie Set-Cookie api-key API_KEY apikey
     APIKey apiKeys db_password DB_PASSWORD dbpassword PASSWORD pwd Pwd passwd passphrase userPass password2 oldPassword
     clientSecret client_secret secret secrets secretValue jwt id_token refreshToken bearerToken githubPat tokens
     privateKey private_key PRIVATE_KEY_PEM ssh-key ssl.keystore.password ssl.key.password sslKey sharedAccessKey
     AccountKey storageAccountKey subscription-key Ocp-Apim-Subscription-Key AWS_SECRET_ACCESS_KEY awsSessionToken
     X-Auth-Token X-Vault-Token x-functions-key encryptionKey signingKey basic.auth.user.info creds credentials
     serviceAccountCredentials spPrivateKey keyPassphrase bind_pw passwordHash pin passcode privateKeyValue apiSecret
     webhookSecret hmacKey masterKey Passwort ｐａｓｓｗｏｒｄ passWord passPhrase PassWord pass_word dbpass DBPASS bindpw ldapBindPw
     userPwd rootpw PGPASSWORD keystorepass privKey priv_key private.key serviceAccountJson service_account_json keyfile_dict
     connectionString connection_string connStr CONNECTIONSTRING Contraseña пароль パスワード gitToken MYSECRET basicAuth
     privateKeyFileContent fs.azure.account.key.x.dfs.example.net SECRET_KEY_BASE`.split(/\s+/),
  )('%s is a secret', (key) => {
    expect(isSecret(key)).toBe(true);
  });

  it.each(
    `passwordPolicy tokenizer keyField primaryKey secretArn publicKey tokenURL privateKeyId JWTTokenExpiry tokenEndpoint
     secretsManagerProvider secretName secretKeyRef passwordFile tokenPath privateKeyPath foreignKey partitionKey key keys
     sortKey keyId accessKeyId awsAccessKeyId apiKeyName tokenType token_uri maxTokens max_tokens nextToken pageToken
     passwordless passenger compass bypass byPass secretary passage encompass keyboard monkey turnkey authType
     authProvider authorizationUrl cookiePolicy cookieDomain credentialSource gitCredentials hostPort username user
     description displayName href owners tags fullyQualifiedName testConnectionResult extension changeDescription
     loggerLevel pipelineType sourceConfig openMetadataServerConnection authenticationMechanism isBot sslMode pinned
     opinion spin patch path patient jaas pass_through tokenExpirySeconds overpass numtokens costPerToken serviceAccount serviceAccountEmail privateKeyFile connectionTimeout monkey
     hotkey cookieName accountName apiKeyRotationDays constructor __proto__`.split(/\s+/),
  )('%s is plain', (key) => {
    expect(meaningOfKey(key)).toBe('plain');
  });

  it('takes a number as a secret under a singular key, and not under a plural, which may be a count', () => {
    expect(meaningOfKey('password')).toBe('password');
    expect(meaningOfKey('pin')).toBe('password');
    expect(meaningOfKey('token')).toBe('password');
    expect(meaningOfKey('tokens')).toBe('secret');
    // It may ask for yes or no.
    expect(meaningOfKey('usePassword')).toBe('secret');
  });

  it('takes hardly any time for a key of any length', () => {
    expect(isSecret(`${'x'.repeat(5_000_000)}_password`)).toBe(true);
  });
});
