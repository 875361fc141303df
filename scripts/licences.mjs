#!/usr/bin/env node
/**
 * Prints what runs with the program, a line each: package, version, licence. From what is installed.
 *
 *     node scripts/licences.mjs
 *
 * Exit codes: 0 all have a licence that goes with Apache-2.0, 1 one has not (named on standard error).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
]);
/** Packages that name none in package.json: read in their own texts. */
const READ = { 'urlsafe-base64@1.0.0': 'MIT' };

const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
const rows = Object.entries(packages)
  .filter(([path]) => path.startsWith('node_modules/'))
  .filter(([, { link, dev, devOptional, optional }]) => !link && !dev && !devOptional && !optional)
  .map(([path, { version }]) => ({ name: path.slice(path.lastIndexOf('node_modules/') + 13), version, path }))
  .map((row) => ({ ...row, licence: READ[`${row.name}@${row.version}`] ?? licenceOf(row.path) }))
  .toSorted((a, b) => a.name.localeCompare(b.name));

for (const { name, version, licence } of rows) process.stdout.write(`${name} ${version} ${licence}\n`);
const refused = rows.filter(({ licence }) => !isAllowed(licence));
for (const { name, licence } of refused)
  process.stderr.write(`licences: ${name} has ${licence}, which nobody has looked at\n`);
process.exitCode = refused.length > 0 ? 1 : 0;

function licenceOf(path) {
  const { license, licenses } = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'));
  // The form of long ago: a list to choose from.
  return license ?? licenses?.map(({ type }) => type).join(' OR ') ?? 'none';
}

/** Of licences joined by OR one must be allowed, of those joined by AND all. */
function isAllowed(licence) {
  return licence
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((one) => ALLOWED.has(one)));
}
