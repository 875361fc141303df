import js from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import { importX } from 'eslint-plugin-import-x';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/** Packages that one place each imports, so that they can be exchanged there. `*` stands for anything. */
const OWNED_PACKAGES = [
  { packages: ['kafkajs'], owners: ['src/kafka/**', 'consumers/**', 'producers/**'] },
  { packages: ['@aws-sdk/*', '@smithy/*'], owners: ['src/secrets-managers/**'] },
  { packages: ['fernet'], owners: ['src/fernet/referee.ts', 'src/fernet/npm-fernet.d.ts'] },
  { packages: ['typeorm', 'pg', 'mysql2', 'mysql2/*'], owners: ['src/database/**', 'migrations/**'] },
  { packages: ['better-sqlite3'], owners: ['src/database/**', 'src/secrets-managers/**'] },
  { packages: ['fastify', '@fastify/*'], owners: ['src/http/**'] },
  { packages: ['commander'], owners: ['src/cli/**'] },
];
const PROGRAM = ['src/**/*.ts', 'consumers/**/*.ts', 'producers/**/*.ts', 'migrations/**/*.ts'];
/** The only readers of the environment. */
const ENVIRONMENT_READERS = ['src/cli/**', 'src/config.ts', 'src/config/**', 'src/config-*.ts'];

const ownersOfAll = [...new Set(OWNED_PACKAGES.flatMap(({ owners }) => owners))];

/** Flat configuration replaces a rule as a whole, so each owner gets the full list without its own packages. */
function packageRules(path) {
  const forbidden = OWNED_PACKAGES.filter(({ owners }) => !owners.includes(path));
  const rules = forbidden.map(({ packages, owners }) => ({
    pattern: `^(${packages.map(asPattern).join('|')})$`,
    message: `Only ${owners.join(', ')} may import it.`,
  }));
  const patterns = rules.map(({ pattern, message }) => ({ regex: pattern, message }));
  const dynamic = rules.map(({ pattern, message }) => ({
    selector: `ImportExpression[source.value=/${pattern}/]`,
    message,
  }));
  return {
    'no-restricted-imports': ['error', { patterns }],
    'no-restricted-syntax': ['error', ...dynamic],
  };
}

function asPattern(name) {
  // Selectors of ESLint take no slash inside of a pattern.
  return name.replace(/[/]/g, '\\u002F').replace('*', '.*');
}

/** Who must not import whom. Stages and rules import ports and each other, never what stands behind a port. */
const CONSUMERS = './consumers/**';
const PRODUCERS = './producers/**';
const KAFKA = ['./src/kafka/**', CONSUMERS, PRODUCERS];
const MIGRATIONS = './migrations/**';
const DATABASE = './src/database/**';
/** The shapes of rows are shared words; what reads and writes them is not. */
const BEHIND_DATABASE = ['./src/database/!(rows).ts', './src/database/*/**'];
const HTTP = './src/http/**';
const PROVIDERS = ['./src/secrets-managers/!(port|limits|providers).ts', './src/secrets-managers/*/**'];
const COMMANDS = ['./src/cli/**', './src/operations/**'];
const WORKER = ['./src/worker/**'];
const BUILDERS = [...COMMANDS, ...WORKER, './src/upkeep/**'];
const ADAPTERS = [...KAFKA, ...BEHIND_DATABASE, HTTP, ...PROVIDERS, ...BUILDERS, MIGRATIONS];
const DIRECTIONS = [
  {
    target: ['./src/pipeline/**'],
    from: ADAPTERS,
    message: 'A stage of the pipeline imports ports (port.ts, transport.ts, its own ledger), never adapters.',
  },
  {
    target: ['./src/catalog/**', './src/events/**', './src/ids/**', './src/fernet/**'],
    from: [...ADAPTERS, './src/pipeline/**'],
    message: 'Rules and codecs know neither the pipeline nor adapters.',
  },
  {
    target: [...KAFKA, DATABASE, HTTP, './src/secrets-managers/**', MIGRATIONS],
    from: BUILDERS,
    message: 'An adapter does not know who builds it.',
  },
  {
    target: ['./src/upkeep/**'],
    from: [...KAFKA, HTTP, ...PROVIDERS, MIGRATIONS, ...COMMANDS, ...WORKER],
    message: 'What runs beside the events knows the pipeline and its ports, not who runs it.',
  },
  { target: WORKER, from: COMMANDS, message: 'The worker does not know the commands.' },
  {
    target: KAFKA,
    from: [DATABASE, HTTP, './src/secrets-managers/**'],
    message: 'Adapters do not know each other.',
  },
  {
    target: ['./src/kafka/**'],
    from: [CONSUMERS, PRODUCERS],
    message: 'What reading and writing share knows neither.',
  },
  { target: [CONSUMERS], from: [PRODUCERS], message: 'Who reads does not write.' },
  { target: [PRODUCERS], from: [CONSUMERS], message: 'Who writes does not read.' },
  {
    target: [CONSUMERS, PRODUCERS],
    from: ['./src/ingestion/**', './src/publisher/**'],
    message: 'An adapter does not know who builds it.',
  },
  { target: [DATABASE], from: [...KAFKA, HTTP, ...PROVIDERS], message: 'Adapters do not know each other.' },
  {
    target: ['./src/secrets-managers/**'],
    from: [...KAFKA, HTTP, DATABASE],
    message: 'Adapters do not know each other.',
  },
  { target: ['./src/terms.ts'], from: ['./**'], message: 'terms.ts imports nothing.' },
  {
    target: ['./src/**', CONSUMERS, PRODUCERS, MIGRATIONS],
    from: ['./test/**', './scripts/**', './benchmarks/**', './examples/**'],
    message: 'The program does not import its tests and tools.',
  },
];

export default tseslint.config(
  { ignores: ['**/dist/', 'node_modules/', '.cache/', '.tmp/', 'coverage/', 'test/**/data/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Numbers and flags in messages are what messages are for.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // An adapter implements asynchronous ports also where it has nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // `() => work()` and `?? ''` as guards against data from outside are clearer than what these ask for.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Both say the same; what reads better depends on the place.
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: true }],
      // `record['name']` says that the key comes from outside.
      '@typescript-eslint/dot-notation': 'off',
      // `== null` is the one short word for null or undefined.
      // Intended: `[...text]` is how code points are told apart here.
      '@typescript-eslint/no-misused-spread': [
        'error',
        { allow: [{ from: 'lib', name: 'string' }, 'string'] },
      ],
      // Entities are JSON from outside; taking a member away is part of the job.
      '@typescript-eslint/no-dynamic-delete': 'off',
      // Asks for the `!` that the other rule forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // TypeORM's option classes are meant to be given as literals.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'no-eval': 'error',
    },
  },
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
    settings: {
      'import-x/extensions': ['.ts', '.js', '.mjs'],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/resolver-next': [createTypeScriptImportResolver({ project: 'tsconfig.json' })],
    },
    rules: {
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-self-import': 'error',
      'import-x/no-restricted-paths': ['error', { zones: DIRECTIONS }],
    },
  },
  { files: PROGRAM, rules: packageRules(null) },
  ...ownersOfAll.map((owner) => ({ files: [owner], rules: packageRules(owner) })),
  {
    files: PROGRAM,
    ignores: ENVIRONMENT_READERS,
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'Configuration comes in as a parameter; src/config and src/cli read it.',
        },
      ],
    },
  },
  {
    files: ['src/terms.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '.*', message: 'terms.ts imports nothing.' }] },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'benchmarks/**/*.ts', 'examples/**/*.ts', 'scripts/**'],
    rules: {
      'no-console': 'off',
      // Tests state what must be there and fail where it is not.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-misused-spread': 'off',
    },
  },
  // They describe other people's code.
  { files: ['**/*.d.ts'], rules: { '@typescript-eslint/no-extraneous-class': 'off' } },
  { files: ['**/*.mjs', '**/*.js'], languageOptions: { globals: globals.node } },
);
