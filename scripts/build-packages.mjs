// Builds the packages of packages/: each is one file, bundled from the sources of src/<name>, with the types that the
// compiler has written for them. A package has no sources of its own.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';

/** What only `import.meta.url` says in the sources. CommonJS says it in another way. */
const FILE_URL = { name: '__fileUrl', code: "require('node:url').pathToFileURL(__filename).href" };

/**
 * @param {string} root the checkout
 * @param {string} compiled where the compiler has put the program and its types
 */
export async function buildPackages(root, compiled) {
  const names = readdirSync(join(root, 'packages'));
  await Promise.all(names.map((name) => buildPackage(root, compiled, name)));
}

async function buildPackage(root, compiled, name) {
  const folder = join(root, 'packages', name);
  const made = join(folder, `dist-${process.pid}`);
  try {
    await bundle(root, name, made, join(folder, 'package.json'));
    copyTypes(compiled, join(compiled, 'src', name, 'index.d.ts'), made);
    cpSync(join(root, 'src', 'catalog', 'data'), join(made, 'data'), { recursive: true });
    cpSync(join(root, 'docs', 'schemas'), join(made, 'schemas'), { recursive: true });
    cpSync(join(root, 'LICENSE'), join(made, 'LICENSE'));
    rmSync(join(folder, 'dist'), { recursive: true, force: true });
    renameSync(made, join(folder, 'dist'));
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/** A package without SDKs knows the settings of stores, and opens none: what a provider loads for that is left out. */
const WITHOUT_STORES = {
  name: 'without-stores',
  setup(building) {
    building.onResolve({ filter: /^\./ }, ({ kind, path, importer }) =>
      kind === 'dynamic-import' && /[/]secrets-managers[/][^/]+[/]provider\.ts$/.test(importer)
        ? { path, namespace: 'left-out' }
        : null,
    );
    building.onLoad({ filter: /./, namespace: 'left-out' }, () => ({
      contents: "throw new Error('this package opens no store')",
    }));
  },
};

/** One CommonJS file serves `import` and `require()` alike, so each of its classes is there once. */
async function bundle(root, name, made, manifestFile) {
  const { dependencies, peerDependencies = {} } = JSON.parse(readFileSync(manifestFile, 'utf8'));
  const { metafile } = await build({
    entryPoints: [join(root, 'src', name, 'index.ts')],
    outfile: join(made, `${name}.js`),
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    define: { 'import.meta.url': FILE_URL.name },
    banner: { js: `const ${FILE_URL.name} = ${FILE_URL.code};` },
    plugins: Object.keys(peerDependencies).length === 0 ? [WITHOUT_STORES] : [],
    metafile: true,
    logLevel: 'warning',
  });
  const known = Object.keys({ ...dependencies, ...peerDependencies });
  const imported = Object.values(metafile.inputs).flatMap(({ imports }) => imports);
  const unknown = imported
    .filter(({ path, external }) => external && !path.startsWith('node:'))
    .map(({ path }) => path)
    .filter((path) => !known.some((one) => path === one || path.startsWith(`${one}/`)));
  if (unknown.length > 0) {
    throw new Error(`packages/${name}/package.json does not name ${[...new Set(unknown)].join(', ')}`);
  }
}

/** The types of the entry, and of what they refer to. */
function copyTypes(compiled, file, made) {
  const target = join(made, relative(compiled, file));
  if (existsSync(target)) return;
  mkdirSync(dirname(target), { recursive: true });
  cpSync(file, target);
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) {
    copyTypes(compiled, join(dirname(file), `${path}.d.ts`), made);
  }
}
