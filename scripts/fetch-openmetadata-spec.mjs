#!/usr/bin/env node
/**
 * Fetches OpenMetadata's JSON Schemas (Maven artefact org.open-metadata:openmetadata-spec, Apache-2.0) into
 * `.cache/openmetadata-spec/<version>/`, once per version. Needs `mvn`. Prints the folder as its last line.
 *
 *     node scripts/fetch-openmetadata-spec.mjs [version …]      (default: 0.13.2 1.2.0 1.4.0)
 *
 * Exit codes: 0 all there, 1 Maven is missing or failed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ARTEFACT = 'org.open-metadata:openmetadata-spec';
const DEFAULT_VERSIONS = ['0.13.2', '1.2.0', '1.4.0'];
const MAVEN_TIMEOUT_MS = 300_000;

const cacheDir = fileURLToPath(new URL('../.cache/openmetadata-spec/', import.meta.url));
const asked = process.argv.slice(2);

for (const version of asked.length > 0 ? asked : DEFAULT_VERSIONS) fetchVersion(version);
console.log(cacheDir);

/** Works in a folder beside the final place (Maven leaves marks in its own) and renames: a folder that is there is whole. */
function fetchVersion(version) {
  if (!/^\d+(?:\.\d+)*$/.test(version)) fail(`Not a version: ${version}.`);
  const target = join(cacheDir, version);
  if (existsSync(join(target, 'json', 'schema'))) return;
  const partial = join(cacheDir, `${version}.partial-${process.pid}`);
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const unpacked = join(partial, 'unpacked');
  const result = spawnSync(
    'mvn',
    [
      '--batch-mode',
      '--quiet',
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack',
      `-Dartifact=${ARTEFACT}:${version}`,
      `-DoutputDirectory=${unpacked}`,
      '-Dmdep.unpack.includes=json/schema/**',
    ],
    { cwd: partial, stdio: ['ignore', 'inherit', 'inherit'], timeout: MAVEN_TIMEOUT_MS },
  );
  if (result.error !== undefined) fail(`mvn cannot be run (${result.error.code ?? 'unknown error'}).`);
  if (result.status !== 0) fail(`mvn could not fetch ${ARTEFACT}:${version} (exit code ${result.status}).`);
  if (!existsSync(join(unpacked, 'json', 'schema')))
    fail(`${ARTEFACT}:${version} holds no folder json/schema.`);
  if (!existsSync(target)) renameSync(unpacked, target);
  rmSync(partial, { recursive: true, force: true });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
