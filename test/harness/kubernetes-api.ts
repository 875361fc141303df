import { Agent, request } from 'node:https';

/** What tests use of an object. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export interface ApiAnswer {
  readonly status: number;
  /** An object of Kubernetes: what was asked for, or a `Status` that says what is wrong. */
  readonly body: unknown;
}

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** An API server as one user sees it. */
export class KubernetesApi {
  readonly #agent: Agent;

  constructor(
    private readonly url: string,
    private readonly ca: string,
    private readonly token: string,
    private readonly user: string | null = null,
  ) {
    this.#agent = new Agent({ ca });
  }

  /** The same server with another token. */
  withToken(token: string): KubernetesApi {
    return new KubernetesApi(this.url, this.ca, token);
  }

  /** The same server as another user, for an admin. */
  as(user: string): KubernetesApi {
    return new KubernetesApi(this.url, this.ca, this.token, user);
  }

  call(method: string, path: string, body?: object, contentType = 'application/json'): Promise<ApiAnswer> {
    const headers = {
      authorization: `Bearer ${this.token}`,
      'content-type': contentType,
      ...(this.user === null ? {} : { 'impersonate-user': this.user }),
    };
    return new Promise((resolve, reject) => {
      const sent = request(`${this.url}${path}`, { method, headers, agent: this.#agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('error', reject).on('end', () => {
          const isJson = response.headers['content-type']?.startsWith('application/json') === true;
          resolve({ status: response.statusCode ?? 0, body: isJson ? JSON.parse(text) : text });
        });
      });
      sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** The same, and what is answered. @throws Error with what the server says if it refuses */
  async ask<T = unknown>(method: string, path: string, body?: object, contentType?: string): Promise<T> {
    const answer = await this.call(method, path, body, contentType);
    if (answer.status < 300) return answer.body as T;
    throw new Error(`${method} ${path}: ${answer.status} ${messageOf(answer.body)}`);
  }

  /**
   * Server-side apply, where a field that the kind does not have is an error. Answers what is stored then.
   *
   * @param dryRun - whether nothing is to be stored
   * @throws Error with what the server says if it refuses
   */
  async apply<T extends KubernetesObject>(object: T, namespace: string, dryRun = false): Promise<T> {
    const path = `${await this.pathOf(object, namespace)}/${object.metadata.name}`;
    const query = `fieldManager=test&fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
    return this.ask('PATCH', `${path}?${query}`, object, 'application/apply-patch+yaml');
  }

  /** The path of all objects of this kind. */
  async pathOf({ apiVersion, kind }: KubernetesObject, namespace: string): Promise<string> {
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { resources } = await this.ask<{ resources: readonly Resource[] }>('GET', root);
    const found = resources.find((one) => one.kind === kind && !one.name.includes('/'));
    if (found === undefined) throw new Error(`the server has no ${apiVersion} ${kind}`);
    return `${root}${found.namespaced ? `/namespaces/${namespace}` : ''}/${found.name}`;
  }
}

function messageOf(body: unknown): string {
  return typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : String(body);
}
