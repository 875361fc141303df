/**
 * Loaded into a worker by `--import`: the name `secrets.test` does not resolve while the file DNS_DOWN_FILE is there,
 * and is this machine otherwise.
 */
import dns from 'node:dns';
import { existsSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const real = dns.lookup;

dns.lookup = (host, options, callback) => {
  const done = typeof options === 'function' ? options : callback;
  if (host !== 'secrets.test') return real(host, options, callback);
  if (existsSync(process.env.DNS_DOWN_FILE ?? '')) {
    const error = Object.assign(new Error('getaddrinfo ENOTFOUND'), {
      code: 'ENOTFOUND',
      syscall: 'getaddrinfo',
    });
    process.nextTick(done, error);
    return {};
  }
  return real('127.0.0.1', options, callback);
};
syncBuiltinESMExports();
