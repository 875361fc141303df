const STYLES = { bold: 1, dim: 2, red: 31, green: 32, cyan: 36 };

/** What the demo prints: indented blocks under headings; colours on a terminal only, and not with NO_COLOR. */
export class Printer {
  #stream;
  #isColoured;
  #checks = 0;

  constructor(stream, env) {
    this.#stream = stream;
    this.#isColoured = stream.isTTY === true && !env.NO_COLOR;
  }

  /** How many statements were checked so far. */
  get checks() {
    return this.#checks;
  }

  title(text) {
    this.#write(this.#style('bold', text));
  }

  section(text) {
    this.#write(`\n${this.#style('bold', text)}`);
  }

  line(text = '') {
    this.#write(text === '' ? '' : `  ${text}`);
  }

  /** The first half of a line, for what takes its time; {@link endLine} is the other one. */
  beginLine(text) {
    this.#stream.write(`  ${text}`);
  }

  endLine(text) {
    this.#write(text);
  }

  command(text) {
    this.line(this.#style('cyan', `$ ${text}`));
  }

  note(text) {
    this.line(this.#style('dim', text));
  }

  /** A JSON text over several lines. */
  json(value) {
    for (const line of JSON.stringify(value, null, 2).split('\n')) this.line(line);
  }

  /** A database row, a column a line. */
  row(table, columns) {
    this.line(this.#style('dim', table));
    const width = Math.max(...Object.keys(columns).map((name) => name.length));
    for (const [name, value] of Object.entries(columns))
      this.line(`  ${name.padEnd(width)}  ${value === null ? 'null' : shortened(String(value))}`);
  }

  /** @param rows arrays of texts, the first one is the head */
  table(rows) {
    const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
    rows.forEach((row, index) => {
      const text = row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd();
      this.line(index === 0 ? this.#style('dim', text) : text);
    });
  }

  /** Prints what is claimed where it is true, and fails where it is not. */
  check(isTrue, statement) {
    if (!isTrue) throw new Error(`this is not true: ${statement}`);
    this.#checks += 1;
    this.line(`${this.#style('green', 'ok')}  ${statement}`);
  }

  failure(text) {
    this.#write(`\n${this.#style('red', 'FAILED')}  ${text}`);
  }

  #style(name, text) {
    return this.#isColoured ? `\u001b[${STYLES[name]}m${text}\u001b[0m` : text;
  }

  #write(text) {
    this.#stream.write(`${text}\n`);
  }
}

const LONGEST_TOKEN = 48;

/** Tokens are long and all look alike: the beginning will do. */
function shortened(text) {
  return /^(?:fernet:)?gAAAA/.test(text) && text.length > LONGEST_TOKEN
    ? `${text.slice(0, LONGEST_TOKEN)}… (${text.length} characters)`
    : text;
}

/** What is shown in place of a secret: as many stars as it has characters. */
export function masked(text) {
  return '*'.repeat([...text].length);
}
