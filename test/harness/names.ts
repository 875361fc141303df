/** The real servers that tests use. `mariadb` stands for the MySQL protocol: with Docker Compose it is MySQL 8.4. */
export const PART_NAMES = ['kafka', 'postgres', 'mariadb', 'moto'] as const;
export type PartName = (typeof PART_NAMES)[number];
/** What a test can start for itself alone. Kubernetes is no part of a run, because few tests need it. */
export type OwnPartName = PartName | 'kubernetes';
/** The servers that these are made of. */
export type ServerName = PartName | 'etcd' | 'kube-apiserver';

/** Set one of these to use your own server instead of one that the harness starts. */
export const ADDRESS_VARIABLES = {
  kafka: 'TEST_KAFKA_BROKERS',
  postgres: 'TEST_POSTGRES_URL',
  mariadb: 'TEST_MARIADB_URL',
  moto: 'TEST_MOTO_URL',
} as const satisfies Record<PartName, string>;

/**
 * The address of a part, or why there is none.
 *
 * Addresses: `kafka` host:port (with commas between several), `postgres` postgres://…/database, `mariadb`
 * mysql://…/database (both users may create databases), `moto` http://host:port.
 */
export type PartState =
  { readonly up: true; readonly address: string } | { readonly up: false; readonly reason: string };

export type PartStates = Readonly<Record<PartName, PartState>>;

export type Addresses<P extends PartName> = Readonly<Record<P, string>>;

/** On a build server a missing part is a failure. On a laptop the tests that need it are skipped. */
export function partsAreRequired(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.CI === 'true' || env.CI === '1';
}

/** The parts that `TEST_PARTS_ONLY` names, with commas between them; `none` for no part. All parts if it is not set. */
export function wantedParts(env: NodeJS.ProcessEnv = process.env): readonly PartName[] {
  const only = env.TEST_PARTS_ONLY?.trim();
  if (only === undefined || only === '') return PART_NAMES;
  if (only === 'none') return [];
  return only.split(',').map((word) => {
    const name = PART_NAMES.find((part) => part === word.trim());
    if (name === undefined) {
      throw new Error(`TEST_PARTS_ONLY names "${word.trim()}"; known: ${PART_NAMES.join(', ')}, none`);
    }
    return name;
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
