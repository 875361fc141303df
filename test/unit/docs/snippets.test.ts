import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { docBlocks, type DocBlock } from '../../harness/doc-blocks.js';
import { PROJECT_DIR } from '../../harness/index.js';

const HARNESS = '../harness/index.js';
/** What a page leaves to its reader, by a text of the block. */
const LEFT_TO_READERS: readonly (readonly [string, string])[] = [
  [
    'subscribeSecured',
    'declare function disconnect(id: string): void; declare function connect(config: object): Promise<void>;',
  ],
  [
    'createPublisher',
    'declare const entity: { id: string; name: string }; declare const change: { id: string; time: number };',
  ],
  ['describeWith', `import { it } from 'vitest';`],
  [
    'expectShown',
    `import { docBlock, expectShown, runBlock } from '${HARNESS}'; declare const kafka: string; declare const world: { env: Record<string, string> };`,
  ],
];

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  ...['docs', 'examples', 'packages'].flatMap((folder) =>
    readdirSync(join(PROJECT_DIR, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md') && !/(^|\/)(node_modules|dist)\//.test(name))
      .map((name) => `${folder}/${name}`),
  ),
];
const isCode = ({ language }: DocBlock): boolean =>
  /^(ts|js|mjs|cjs|tsx|jsx|typescript|javascript)$/.test(language);
const BLOCKS = PAGES.flatMap((page) => docBlocks(page)).filter(isCode);

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  skipLibCheck: true,
  resolveJsonModule: true,
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.es2024.string.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  paths: {
    '@connection-secrets/*': [join(PROJECT_DIR, 'src/*/index.ts')],
    'connection-secrets-worker': [join(PROJECT_DIR, 'src/index.ts')],
  },
};

/** The errors of each text, as a file of a folder of test/ would have them. */
function errorsOf(texts: readonly string[]): string[][] {
  const files = new Map(
    texts.map((text, at) => [join(PROJECT_DIR, 'test', 'unit', `snippet-${at}.mts`), text]),
  );
  const host = ts.createCompilerHost(OPTIONS);
  const { readFile, fileExists, getSourceFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file) ?? readFile(file);
  host.getSourceFile = (file, version, ...rest) => {
    const text = files.get(file);
    return text === undefined
      ? getSourceFile(file, version, ...rest)
      : ts.createSourceFile(file, text, version);
  };
  const program = ts.createProgram([...files.keys()], OPTIONS, host);
  return [...files.keys()].map((file) => {
    const source = program.getSourceFile(file);
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
  });
}

it('strict TypeScript accepts every block of code of the pages, and only what is right', () => {
  expect(BLOCKS.length).toBeGreaterThan(3);
  const texts = BLOCKS.map(({ text }) => {
    const [, before = ''] = LEFT_TO_READERS.find(([mark]) => text.includes(mark)) ?? [];
    return `${before}\nexport {};\n${text}`;
  });
  const wrong = `import { reveal, type FilledObject } from '@connection-secrets/ingestion';
    export const config = (entity: FilledObject | null) => reveal(entity.connection.config);`;
  const errors = errorsOf([...texts, wrong]);
  expect(errors.pop()).toHaveLength(3);
  const found = BLOCKS.map(({ page, line }, at) => ({ block: `${page}:${line}`, errors: errors[at] ?? [] }));
  expect(found.filter((block) => block.errors.length > 0)).toEqual([]);
});
