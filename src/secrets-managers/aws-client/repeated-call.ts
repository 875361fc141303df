import { HttpRequest, loadJsonRpcErrorCode } from '@smithy/core/protocols';
import { SignatureV4, type SignatureV4CryptoInit, type SignatureV4Init } from '@smithy/signature-v4';
import type { GatedHttpHandler } from './attempt.js';
import type { Send } from '../requester.js';

/** What is used of one of the SDK's clients. */
export interface SdkClient {
  readonly config: SignatureV4CryptoInit &
    Pick<SignatureV4Init, 'credentials' | 'region'> & {
      readonly defaultSigningName: string;
      readonly disableClockSkewCorrection: () => Promise<boolean>;
      readonly requestHandler: Pick<GatedHttpHandler, 'handle'>;
      readonly streamCollector: (stream: unknown) => Promise<Uint8Array>;
      systemClockOffset: number;
    };
  readonly middlewareStack: {
    add(middleware: Middleware, options: { step: 'finalizeRequest'; priority: 'high'; name: string }): void;
  };
}

type Next = (args: { input: object; request: unknown }) => Promise<{ response: unknown; output: object }>;
type Middleware = (next: Next, context: { commandName?: string }) => Next;

/** What the SDK adds to each single request, or signs it with. */
const OF_ONE_REQUEST =
  /^(authorization|content-length|amz-sdk-.*|x-amz-(date|security-token|content-sha256))$/;
/** A clock that is further away than this is corrected, as the SDK does it: the services refuse it. */
const CLOCK_SKEW_MS = 300_000;

class ServiceError extends Error {
  readonly $metadata: { readonly httpStatusCode: number };

  constructor(name: string, httpStatusCode: number) {
    super(name);
    this.name = name;
    this.$metadata = { httpStatusCode };
  }
}

/**
 * One operation of a JSON service of AWS that is called for every value: the SDK's own stack costs more time than all the
 * rest of an event. The first call goes through the SDK, and what it sends (address, headers) is the model for all later
 * ones; these are signed by the SDK's signer and sent by its HTTP handler, with its credentials, region and clock.
 *
 * Protocol: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
 */
export class RepeatedCall<Input extends object, Output> {
  readonly #client: SdkClient;
  readonly #throughSdk: (input: Input) => Send<Output>;
  readonly #signer: SignatureV4;
  #model: HttpRequest | null = null;

  /** @param throughSdk sends the operation's command by the same client */
  constructor(client: SdkClient, operation: string, throughSdk: (input: Input) => Send<Output>) {
    const { config, middlewareStack } = client;
    this.#client = client;
    this.#throughSdk = throughSdk;
    const { credentials, region, sha256, defaultSigningName: service } = config;
    this.#signer = new SignatureV4({ credentials, region, sha256, service, applyChecksum: true });
    middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          if (commandName === `${operation}Command` && HttpRequest.isInstance(args.request))
            this.#model = modelOf(args.request);
          return next(args);
        },
      { step: 'finalizeRequest', priority: 'high', name: `modelOf${operation}` },
    );
  }

  send(input: Input): Send<Output> {
    const model = this.#model;
    return model === null
      ? this.#throughSdk(input)
      : ({ abortSignal }) => this.#sendLike(model, input, abortSignal);
  }

  async #sendLike(model: HttpRequest, input: Input, abortSignal: AbortSignal): Promise<Output> {
    const { config } = this.#client;
    const body = JSON.stringify(input);
    const unsigned = HttpRequest.clone(model);
    unsigned.body = body;
    const signed = await this.#signer.sign(unsigned, {
      signingDate: new Date(Date.now() + config.systemClockOffset),
    });
    const { response } = await config.requestHandler.handle(new HttpRequest(signed), { abortSignal });
    const text = Buffer.from(await config.streamCollector(response.body)).toString('utf8');
    await this.#correctClock(response.headers['date']);
    const answer = (text === '' ? {} : JSON.parse(text)) as Output & object;
    if (response.statusCode < 300) return answer;
    throw new ServiceError(loadJsonRpcErrorCode(response, answer) ?? 'UnknownError', response.statusCode);
  }

  async #correctClock(date: string | undefined): Promise<void> {
    const { config } = this.#client;
    const serverMs = Date.parse(date ?? '');
    const isWrong = Math.abs(serverMs - Date.now() - config.systemClockOffset) >= CLOCK_SKEW_MS;
    if (isWrong && !(await config.disableClockSkewCorrection()))
      config.systemClockOffset = serverMs - Date.now();
  }
}

/** Without its body, which holds a value. */
function modelOf({ method, protocol, hostname, port, path, query, headers }: HttpRequest): HttpRequest {
  const kept = Object.entries(headers).filter(([name]) => !OF_ONE_REQUEST.test(name.toLowerCase()));
  return new HttpRequest({
    ...{ method, protocol, hostname, path, query, headers: Object.fromEntries(kept) },
    ...(port === undefined ? {} : { port }),
  });
}
