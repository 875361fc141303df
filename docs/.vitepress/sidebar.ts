interface Entry {
  readonly text: string;
  readonly link: string;
}
export interface Group {
  readonly text: string;
  readonly items: readonly Entry[];
}

const HEADING = /^## (.+)$/;
const ENTRY = /^- \[([^\]]+)\]\(([\w/-]+)\.md\)/;

/** The navigation of the site: the headings of docs/README.md and the pages that it lists below them. */
export function sidebarOf(readme: string): Group[] {
  const groups: { text: string; items: Entry[] }[] = [];
  for (const line of readme.split('\n')) {
    const [, text] = HEADING.exec(line) ?? [];
    if (text !== undefined) groups.push({ text, items: [] });
    const [, title, page] = ENTRY.exec(line) ?? [];
    if (title !== undefined) groups.at(-1)?.items.push({ text: title, link: `/${page ?? ''}` });
  }
  return groups.filter(({ items }) => items.length > 0);
}
