import { expect, it } from 'vitest';
import { PROVIDERS } from '../../../src/secrets-managers/providers.js';
import { vault } from '../../../src/secrets-managers/vault/provider.js';
import { docBlock } from '../../harness/doc-blocks.js';

interface Policy {
  readonly Statement: readonly { readonly Action: string | readonly string[] }[];
}

/** All that the policy of a page allows, and where. */
function actionsOf(page: string, mark: string): string[] {
  const { Statement } = JSON.parse(docBlock(page, 'json', mark).text) as Policy;
  return Statement.flatMap(({ Action }) => Action).toSorted();
}

/** A text of each page that only one of its two policies has. */
const PAGES = {
  'aws-secrets-manager': [
    'docs/providers/aws-secrets-manager.md',
    'CreateSecret',
    '"Action": ["secretsmanager:G',
  ],
  'aws-ssm': ['docs/providers/aws-ssm.md', 'PutParameter', '"Action": "ssm:GetParameters"'],
} as const;

/** The same of a policy that is written by paths of the mount `secret`. */
function pathsOf(page: string, mark: string): string[] {
  const { text } = docBlock(page, 'hcl', mark);
  const rules = text.matchAll(/path "secret\/([^"]+)" \{\s*capabilities = \[([^\]]*)\]/g);
  return [...rules].map(
    ([, path = '', words = '']) =>
      `${path.replace('openmetadata', '<prefix>')}: ${words.replaceAll('"', '')}`,
  );
}

it('the page of Vault has policies with the least permissions of both sides', () => {
  const { permissions } = vault;
  const page = 'docs/providers/vault.md';
  expect(pathsOf(page, 'update')).toEqual(permissions.worker);
  expect(pathsOf(page, '["read"]')).toEqual(permissions.ingestion);
});

it.each(PROVIDERS.filter(({ name }) => name in PAGES))(
  'the page of $name has policies with the least permissions of both sides',
  ({ name, permissions }) => {
    const [page, ofWorker, ofReader] = PAGES[name as keyof typeof PAGES];
    expect(actionsOf(page, ofWorker)).toEqual([...permissions.worker].toSorted());
    expect(actionsOf(page, ofReader)).toEqual([...permissions.ingestion].toSorted());
  },
);
