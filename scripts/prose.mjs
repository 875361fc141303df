// Looks for words that readers stumble over: in the pages, and in the comments and texts (help, logs, errors) of the
// program. The rules: scripts/prose-rules.mjs. Exit code 1 if one was found.
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TextlintKernel } from '@textlint/kernel';
import markdown from '@textlint/textlint-plugin-markdown';
import ts from 'typescript';
import { RULES } from './prose-rules.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['src', 'consumers', 'producers', 'migrations', 'docs', 'examples', 'packages', 'scripts'];

/** A rule of textlint for all of RULES. */
const words = ({ Syntax, RuleError, report, locator }) => ({
  [Syntax.Str](node) {
    for (const [pattern, advice] of RULES) {
      for (const { 0: found, index } of node.value.matchAll(pattern)) {
        const padding = locator.range([index, index + found.length]);
        report(node, new RuleError(`"${found.replace(/\s+/g, ' ')}": ${advice}`, { padding }));
      }
    }
  },
});

/** TypeScript and JavaScript as textlint reads them: each comment, and each literal of more than one word, is a text. */
class CodeProcessor {
  static availableExtensions() {
    return ['.ts', '.mjs'];
  }

  processor() {
    return { preProcess: (text) => documentOf(text), postProcess: asResult };
  }
}

function asResult(messages, filePath) {
  return { messages, filePath };
}

function documentOf(text) {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest);
  const placeOf = (at) => {
    const { line, character } = source.getLineAndCharacterOfPosition(at);
    return { line: line + 1, column: character };
  };
  const node = (type, range, more) => {
    const loc = { start: placeOf(range[0]), end: placeOf(range[1]) };
    return { type, raw: text.slice(...range), range, loc, ...more };
  };
  const texts = rangesIn(source, text).map((range) => {
    // The stars before the lines of a comment are no text: as long as before, so that places stay right.
    const value = text.slice(...range).replace(/^[ \t]*\*+/gm, (stars) => ' '.repeat(stars.length));
    return node('Paragraph', range, { children: [node('Str', range, { value })] });
  });
  return node('Document', [0, text.length], { children: texts });
}

/** In their order, none twice. */
function rangesIn(source, text) {
  const ranges = new Map();
  const visit = (node) => {
    for (const { pos, end } of ts.getLeadingCommentRanges(text, node.pos) ?? []) ranges.set(pos, [pos, end]);
    for (const { pos, end } of ts.getTrailingCommentRanges(text, node.end) ?? []) ranges.set(pos, [pos, end]);
    const start = node.getStart(source);
    const isText =
      ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
    if (isText) ranges.set(start, [start, node.end]);
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  return [...ranges.values()].toSorted(([one], [other]) => one - other);
}

const filesIn = (folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => /\.(ts|mjs|md)$/.test(file) && !/\/(dist|node_modules|prose-rules)\b/.test(file));

const pages = readdirSync(ROOT)
  .filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md')
  .map((name) => join(ROOT, name));
const kernel = new TextlintKernel();
const options = {
  plugins: [
    { pluginId: 'markdown', plugin: markdown.default },
    { pluginId: 'code', plugin: { Processor: CodeProcessor } },
  ],
  rules: [{ ruleId: 'words', rule: words }],
};
for (const file of [...pages, ...FOLDERS.flatMap(filesIn)]) {
  const text = readFileSync(file, 'utf8');
  const { messages } = await kernel.lintText(text, { ...options, filePath: file, ext: extname(file) });
  for (const { loc, message } of messages) {
    process.stdout.write(`${relative(ROOT, file)}:${loc.start.line}:${loc.start.column} ${message}\n`);
    process.exitCode = 1;
  }
}
