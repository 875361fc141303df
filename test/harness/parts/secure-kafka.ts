import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { disposeLater } from '../cleanup.js';
import { freePort } from '../free-port.js';
import { tmpDir } from '../tmp-dir.js';
import { makeAuthority, makeCertificate, type CertificateFiles } from './certificates.js';
import { launchKafka } from './kafka.js';
import type { PartHandle } from './local-part.js';

export interface SecureKafka {
  readonly broker: PartHandle;
  /** `host:port` of the listener that requires a client certificate. */
  readonly mutualTls: string;
  /** `host:port` of the listener with TLS that requires a login. Its certificate has `127.0.0.1` and no name. */
  readonly login: string;
  /** The authority that signed the certificates of the broker and of `client`. */
  readonly caFile: string;
  /** An authority that the broker does not trust. */
  readonly otherCaFile: string;
  readonly client: CertificateFiles;
  /** Signed by the other authority. */
  readonly stranger: CertificateFiles;
  readonly users: Users;
}

interface Users {
  /** The user of PLAIN. */
  readonly plain: string;
  /** The user of SCRAM-SHA-256 and SCRAM-SHA-512. */
  readonly scram: string;
  /** The password of both. */
  readonly password: string;
}

/** After this long, the broker closes a connection whose client has not logged in with a new token, milliseconds. */
export const TOKEN_SESSION_MS = 12_000;

/**
 * Starts a Kafka broker for this test alone, with three listeners: plain (`broker.address`), mutual TLS, and TLS with PLAIN,
 * SCRAM and OAUTHBEARER (it accepts unsigned tokens). About 8 s. It ends with the test or the file.
 */
export async function startSecureKafka(): Promise<SecureKafka> {
  const dir = tmpDir('certificates');
  const [ca, otherCa] = [await makeAuthority(dir, 'ca'), await makeAuthority(dir, 'other-ca')];
  const server = await makeCertificate(dir, 'server', ca);
  const client = await makeCertificate(dir, 'client', ca);
  const stranger = await makeCertificate(dir, 'stranger', otherCa);
  const [tlsPort, loginPort] = [await freePort(), await freePort()];
  const users: Users = {
    plain: 'alice',
    // SCRAM escapes this character in names.
    scram: 'al=ice',
    password: `pä"ss=wörd\\,${randomBytes(9).toString('hex')}`,
  };
  const broker = await launchKafka({
    listeners: [
      { name: 'MUTUAL', protocol: 'SSL', port: tlsPort },
      { name: 'LOGIN', protocol: 'SASL_SSL', port: loginPort },
    ],
    properties: { ...tlsProperties(server, ca.certFile), ...loginProperties(users) },
    formatArgs: scramUsers(users),
  });
  disposeLater(() => broker.dispose());
  return {
    broker,
    mutualTls: `127.0.0.1:${tlsPort}`,
    login: `127.0.0.1:${loginPort}`,
    caFile: ca.certFile,
    otherCaFile: otherCa.certFile,
    client,
    stranger,
    users,
  };
}

/** A token that the broker accepts, with the algorithm `none` (RFC 7515). */
export function unsignedToken(subject: string, lifetimeSeconds: number): string {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const claims = { sub: subject, iat: nowSeconds - 60, exp: nowSeconds + lifetimeSeconds };
  const encoded = [{ alg: 'none' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return `${encoded.join('.')}.`;
}

function tlsProperties(server: CertificateFiles, caFile: string): Record<string, string> {
  const keyStore = join(dirname(server.certFile), 'server-both.pem');
  const both = [server.keyFile, server.certFile].map((file) => readFileSync(file, 'utf8')).join('');
  writeFileSync(keyStore, both, { mode: 0o600 });
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keyStore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': caFile,
    'listener.name.mutual.ssl.client.auth': 'required',
  };
}

function loginProperties({ plain, password }: Users): Record<string, string | number> {
  const modules = 'org.apache.kafka.common.security';
  const quoted = `"${password.replace(/[\\"]/g, '\\$&')}"`;
  const jaas = {
    plain: `${modules}.plain.PlainLoginModule required user_${plain}=${quoted};`,
    'scram-sha-256': `${modules}.scram.ScramLoginModule required;`,
    'scram-sha-512': `${modules}.scram.ScramLoginModule required;`,
    oauthbearer: `${modules}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
  };
  return {
    'listener.name.login.sasl.enabled.mechanisms': Object.keys(jaas).join(',').toUpperCase(),
    'listener.name.login.oauthbearer.connections.max.reauth.ms': TOKEN_SESSION_MS,
    ...Object.fromEntries(
      Object.entries(jaas).map(([mechanism, module]) => [
        `listener.name.login.${mechanism}.sasl.jaas.config`,
        inPropertiesFile(module),
      ]),
    ),
  };
}

/** Java reads these files as Latin-1, and a backslash begins an escape. */
function inPropertiesFile(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Salts the password here (RFC 5802, section 3), so that no locale changes it and no list of processes shows it. */
function scramUsers({ scram, password }: Users): string[] {
  const iterations = 4_096;
  return [256, 512].flatMap((bits) => {
    const salt = randomBytes(16);
    const salted = pbkdf2Sync(password, salt, iterations, bits / 8, `sha${bits}`);
    const user = [
      `name="${scram}"`,
      `iterations=${iterations}`,
      `salt="${salt.toString('base64')}"`,
      `saltedpassword="${salted.toString('base64')}"`,
    ];
    return ['--add-scram', `SCRAM-SHA-${bits}=[${user.join(',')}]`];
  });
}
