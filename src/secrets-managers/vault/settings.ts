import { httpUrl, matching, oneOf, readableFile, secretText, text } from '../../setting/forms.js';
import { settingsOf, type Setting, type ValuesOf } from '../../setting/setting.js';
import type { ManagerSettings } from '../settings.js';

export const NAME = 'vault';

const setting = settingsOf('Vault and OpenBao');
const mountPath = matching(
  /^\/?[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\/?$/,
  'a path of letters, digits and . _ -',
);

const VAULT = {
  VAULT_ADDR: setting(httpUrl, {
    meaning: 'Address of Vault.',
    example: 'https://vault.example:8200',
  }),
  VAULT_NAMESPACE: setting(text, { meaning: 'Namespace. Unset: the root namespace.', example: 'team-a' }),
  VAULT_MOUNT: setting(mountPath, {
    meaning: 'Path of the secrets engine, KV version 2. Unset: `secret`.',
  }),
  VAULT_CACERT: setting(readableFile, {
    meaning: 'PEM file of the authorities to trust. Unset: those of Node.js.',
  }),
  VAULT_AUTH_METHOD: setting(oneOf(['token', 'approle', 'kubernetes']), {
    meaning: 'How to log in. Unset: `token`.',
  }),
  VAULT_AUTH_MOUNT: setting(mountPath, {
    meaning: 'Path of the login, below `auth/`. Unset: the name of the method.',
  }),
  VAULT_TOKEN: setting(secretText, {
    meaning: '`token`: the token. It is renewed where it can be.',
    secret: true,
  }),
  VAULT_ROLE_ID: setting(text, { meaning: '`approle`: the role’s id.' }),
  VAULT_SECRET_ID: setting(secretText, { meaning: '`approle`: its secret id.', secret: true }),
  VAULT_KUBERNETES_ROLE: setting(text, { meaning: '`kubernetes`: the role.' }),
  VAULT_KUBERNETES_JWT_FILE: setting(text, {
    meaning:
      '`kubernetes`: file of the service account’s token, read at each login. Unset: ' +
      '`/var/run/secrets/kubernetes.io/serviceaccount/token`.',
  }),
};

type Named = typeof VAULT;
type OpenBao = { [N in keyof Named as N extends `VAULT_${infer Rest}` ? `BAO_${Rest}` : never]: Named[N] };
type Word = keyof Named extends `VAULT_${infer Rest}` ? Rest : never;

/** OpenBao's names, for the same. */
const OPENBAO = Object.fromEntries(
  Object.entries<Setting<unknown>>(VAULT).map(([name, { schema, group, form, secret }]) => [
    name.replace('VAULT', 'BAO'),
    {
      schema,
      group,
      form,
      meaning: `The same, by OpenBao’s name; ${name} goes first.`,
      ...(secret === true ? { secret } : {}),
    },
  ]),
) as unknown as OpenBao;

export const SETTINGS = { ...VAULT, ...OPENBAO };
export type VaultValues = ValuesOf<typeof SETTINGS>;
export type VaultSettings = ManagerSettings<VaultValues>;

type ValueOf<W extends Word> = VaultValues[`VAULT_${W}`];

/** A setting by either name; undefined where it is wrong by itself. */
export function either<W extends Word>(
  values: { readonly [N in keyof VaultValues]?: VaultValues[N] | undefined },
  word: W,
): ValueOf<W> | undefined {
  const [vault, bao] = [values[`VAULT_${word}`], values[`BAO_${word}`]] as readonly (
    ValueOf<W> | undefined
  )[];
  return vault === null ? bao : vault;
}

/** Without slashes at its ends. */
export function trimmed(path: string): string {
  return path.replace(/^\/|\/$/g, '');
}
