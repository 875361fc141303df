import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireExecutable, runCommand } from '../run-command.js';

/** A certificate and its key, in PEM files. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Signs the certificates of {@link makeCertificate}. */
export async function makeAuthority(dir: string, name: string): Promise<CertificateFiles> {
  const files = filesOf(dir, name);
  const { certFile, keyFile } = files;
  await openssl('req', '-x509', ...EC_KEY, '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', certFile);
  return files;
}

/** A certificate for a server at 127.0.0.1 or a client, valid for a day. */
export async function makeCertificate(
  dir: string,
  name: string,
  authority: CertificateFiles,
): Promise<CertificateFiles> {
  const files = filesOf(dir, name);
  const request = join(dir, `${name}.csr`);
  const extensions = join(dir, `${name}.ext`);
  writeFileSync(extensions, 'subjectAltName=IP:127.0.0.1\n');
  await openssl('req', ...EC_KEY, '-subj', `/CN=${name}`, '-keyout', files.keyFile, '-out', request);
  await openssl(
    ...['x509', '-req', '-in', request, '-CA', authority.certFile, '-CAkey', authority.keyFile],
    ...['-CAcreateserial', '-days', '1', '-extfile', extensions, '-out', files.certFile],
  );
  return files;
}

function filesOf(dir: string, name: string): CertificateFiles {
  return { certFile: join(dir, `${name}.pem`), keyFile: join(dir, `${name}.key`) };
}

async function openssl(...args: string[]): Promise<void> {
  await runCommand(requireExecutable('openssl', 'OpenSSL, for certificates'), args);
}
