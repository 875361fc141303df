import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SETTING_NAMES, SETTINGS, type SettingName } from '../src/config/settings.js';
import type { Setting } from '../src/setting/setting.js';

const FILE = new URL('../docs/configuration.md', import.meta.url);

const INTRODUCTION = `# Configuration

<!-- Generated from src/config/ by scripts/docs-configuration.ts. Change the settings there, then run it again. -->

By environment variables. An empty variable is an unset one. Everything is checked at start: all mistakes are listed
together, by name and with what to do, and the process ends with exit code 2. What is set is checked even where a
command does not need it. The text of a setting is never printed in an error; settings marked *secret* are hidden
everywhere else as well. Each of those can lie in a file instead, as Docker and Kubernetes hand secrets out: its name with
\`_FILE\` (\`FERNET_KEY_FILE=/run/secrets/fernet-key\`) is the path. The file is read at start, at most 64 KiB of it, and one
line break at its end is not part of the value.

OpenMetadata's names (\`SECRET_MANAGER\`, \`SECRET_MANAGER_PREFIX\`, \`SECRET_MANAGER_TAGS\`, \`OPENMETADATA_CLUSTER_NAME\`,
\`FERNET_KEY\`, \`OM_SM_REGION\`, \`OM_SM_ACCESS_KEY_ID\`, \`OM_SM_ACCESS_KEY\`) mean here what they mean there. A variable that
is none of these but nearly is (\`FERNET_KEYS\`) is warned of.

With \`KAFKAJS_DEBUG_PROTOCOL_BUFFERS\` or \`KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS\` set nothing starts
(\`UNSAFE_DEBUG_FLAG\`): they print every record, passwords included.
`;

/** The text of docs/configuration.md. */
export function renderConfigurationDocs(): string {
  const entries = SETTING_NAMES.map((name) => ({ name, meta: SETTINGS[name] }));
  const groups = [...new Set(entries.map(({ meta }) => meta.group))];
  const sections = groups.map((group) => {
    const rows = entries.filter(({ meta }) => meta.group === group).map(({ name, meta }) => row(name, meta));
    return [
      `## ${group}`,
      '',
      '| setting | form | default | meaning |',
      '|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return [INTRODUCTION, ...sections].join('\n');
}

function row(name: SettingName, meta: Setting<unknown>): string {
  const secret = meta.secret === true ? ' *(secret)*' : '';
  const fallback = meta.default === undefined ? '–' : `\`${meta.default}\``;
  const example = meta.example === undefined ? '' : ` Example: \`${meta.example}\`.`;
  return `| \`${name}\`${secret} | ${meta.form} | ${fallback} | ${meta.meaning}${example} |`;
}

/** `tsx scripts/docs-configuration.ts` writes the file; with `--check` it only compares and ends with 1. */
function main(): void {
  const text = renderConfigurationDocs();
  if (!process.argv.includes('--check')) {
    writeFileSync(FILE, text);
  } else if (readFileSync(FILE, 'utf8') !== text) {
    process.stderr.write(
      'docs/configuration.md is out of date: run `npx tsx scripts/docs-configuration.ts`\n',
    );
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
