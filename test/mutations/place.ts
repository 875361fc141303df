import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { Mutation } from './rules.js';

const FOLDERS = ['src', 'consumers', 'producers'];
/** A comma before one of these is there or not, as the lines break. */
const CLOSING = new Set([')', ']', '}']);

/** Files of the source by name. */
export type Sources = ReadonlyMap<string, ts.SourceFile>;

/** Where a rule stands: from the first character of its first token to the end of its last. */
export interface Place {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

export function readSources(root: string): Sources {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  );
  return new Map(
    files
      .filter((file) => file.endsWith('.ts'))
      .map((file) => [file, parsed(file, readFileSync(join(root, file), 'utf8'))]),
  );
}

export function parsed(file: string, text: string): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
}

/**
 * The one place of a rule: its tokens, in a row, within the function, method or constant that it names. Comments, line
 * breaks, quotes, trailing commas and the file it is in may change.
 *
 * @throws Error where there is no such place, or more than one
 */
export function placeOf({ rule, inside, text }: Mutation, sources: Sources): Place {
  const wanted = withoutTrailingCommas(tokensOfText(text)).map((token) => token.text);
  const places = [...sources].flatMap(([file, source]) =>
    nodesNamed(source, inside.split('.')).flatMap((node) =>
      matches(withoutTrailingCommas(tokensOf(node, source)), wanted).map((at) => ({ file, ...at })),
    ),
  );
  const [place] = places;
  if (place !== undefined && places.length === 1) return place;
  throw new Error(`${rule}: \`${inside}\` has its code ${places.length} times instead of once: ${text}`);
}

/** The text of its file without the rule. */
export function without({ instead }: Mutation, { start, end }: Place, { text }: ts.SourceFile): string {
  return text.slice(0, start) + instead + text.slice(end);
}

/** Declarations of a file by this name; `Class.method` for one of a class. */
function nodesNamed({ statements }: ts.SourceFile, [outer, member]: readonly string[]): ts.Node[] {
  const found = statements.filter((node) => nameOf(node) === outer);
  if (member === undefined) return found;
  return found.flatMap((node) =>
    ts.isClassDeclaration(node) ? node.members.filter((one) => nameOf(one) === member) : [],
  );
}

function nameOf(node: ts.Statement | ts.ClassElement): string | undefined {
  const named = ts.isVariableStatement(node) ? node.declarationList.declarations[0]?.name : undefined;
  if (named !== undefined) return named.getText();
  const isNamed =
    ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isMethodDeclaration(node);
  return isNamed ? node.name?.getText() : undefined;
}

function tokensOf(node: ts.Node, file: ts.SourceFile): Token[] {
  if (ts.isJSDoc(node)) return [];
  const children = node.getChildren(file);
  if (children.length > 0) return children.flatMap((child) => tokensOf(child, file));
  const token = { text: plain(node.getText(file)), start: node.getStart(file), end: node.getEnd() };
  return token.text === '' ? [] : [token];
}

/** Of a piece of code that is no whole statement: by the scanner alone. */
function tokensOfText(text: string): Token[] {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, true, ts.LanguageVariant.Standard, text);
  const tokens: Token[] = [];
  for (let kind = scanner.scan(); kind !== ts.SyntaxKind.EndOfFileToken; kind = scanner.scan()) {
    // No rule divides.
    if (kind === ts.SyntaxKind.SlashToken) scanner.reScanSlashToken();
    if (kind === ts.SyntaxKind.GreaterThanToken) scanner.reScanGreaterToken();
    tokens.push({
      text: plain(scanner.getTokenText()),
      start: scanner.getTokenStart(),
      end: scanner.getTokenEnd(),
    });
  }
  return tokens;
}

/** A text in quotes is the same in other quotes, a number in other digits. */
function plain(token: string): string {
  if (/^\d/.test(token)) return String(Number(token));
  return /^(['"])[^'"\\]*\1$/.test(token) ? `'${token.slice(1, -1)}'` : token;
}

function withoutTrailingCommas(tokens: readonly Token[]): Token[] {
  return tokens.filter(({ text }, at) => text !== ',' || !CLOSING.has(tokens[at + 1]?.text ?? ''));
}

function matches(tokens: readonly Token[], wanted: readonly string[]): Pick<Place, 'start' | 'end'>[] {
  return tokens.flatMap(({ start }, first) => {
    const last = tokens[first + wanted.length - 1];
    const isHere = last !== undefined && wanted.every((text, at) => tokens[first + at]?.text === text);
    return isHere ? [{ start, end: last.end }] : [];
  });
}
