import { SecretsManagerClient, DescribeSecretCommand } from '@aws-sdk/client-secrets-manager';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { awsClientConfig } from '../../../src/secrets-managers/aws-client/client-config.js';
import { awsCredentials } from '../../../src/secrets-managers/aws-client/credentials.js';
import { awsRequester } from '../../../src/secrets-managers/aws-client/requester.js';
import { hasNothing } from '../../../src/secrets-managers/requester.js';
import type { AwsSettings } from '../../../src/secrets-managers/aws-client/settings.js';
import { SecretValue } from '../../../src/secret-value.js';
import { startAwsStandin, type Fault } from '../../harness/aws-standin/index.js';
import { disposeLater } from '../../harness/cleanup.js';

const TIMEOUT_MS = 60;
/** Of a request that gets its answer, however busy the machine is: as long as a test may take. */
const ANSWERED_MS = 60_000;

async function bench(login = '') {
  const standin = await startAwsStandin();
  const settings: AwsSettings = {
    region: 'eu-west-1',
    credentials: { accessKeyId: 'testing', secretAccessKey: new SecretValue('testing') },
    endpointUrl: standin.url.replace('://', `://${login}`),
    // The requester ends what takes too long, not the socket.
    requestTimeoutMs: ANSWERED_MS,
  };
  const config = awsClientConfig(settings, awsCredentials(settings));
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  // Credentials that take their time, as those of an instance's metadata service can.
  const credentials = async () => {
    await held;
    return { accessKeyId: 'testing', secretAccessKey: 'testing' };
  };
  const client = new SecretsManagerClient({ ...config, credentials });
  disposeLater(async () => {
    client.destroy();
    await standin.close();
  });
  return { standin, client, release };
}

describe('Requester', () => {
  it('sends nothing once the time is up, however late the SDK comes with it', async () => {
    const { standin, client, release } = await bench();
    const requester = awsRequester('aws-secrets-manager', TIMEOUT_MS, {});
    let sending: Promise<unknown> = Promise.resolve();
    const call = { signal: new AbortController().signal, admitWrite: () => Promise.resolve() };
    const answer = await requester.write(
      'DescribeSecret',
      call,
      (options) => {
        const sent = client.send(new DescribeSecretCommand({ SecretId: '/a' }), options);
        sending = sent;
        return sent;
      },
      hasNothing,
    );
    expect(answer).toMatchObject({ ok: false, failure: { error: { class: 'transient', applied: 'no' } } });
    release();
    await expect(sending).rejects.toThrow();
    expect(standin.calls).toHaveLength(0);
  });

  it('does not send after this process stood still beyond the deadline', async () => {
    const { standin, client, release } = await bench();
    release();
    const requester = awsRequester('aws-secrets-manager', TIMEOUT_MS, {});
    const call = { signal: new AbortController().signal, admitWrite: () => Promise.resolve() };
    const answer = await requester.write(
      'DescribeSecret',
      call,
      async (options) => {
        // Holds the thread: neither timer nor signal can have told anybody.
        const endMs = performance.now() + TIMEOUT_MS * 2;
        while (performance.now() < endMs);
        return client.send(new DescribeSecretCommand({ SecretId: '/a' }), options);
      },
      hasNothing,
    );
    expect(answer).toMatchObject({ ok: false, failure: { error: { applied: 'no' } } });
    expect(standin.calls).toHaveLength(0);
  });

  it('counts the time from the admission, not from the wait for it', async () => {
    const { standin, client, release } = await bench();
    release();
    // The clock moves when this test says so.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const requester = awsRequester('aws-secrets-manager', TIMEOUT_MS, {});
    const admitWrite = async (): Promise<void> => {
      await vi.advanceTimersByTimeAsync(TIMEOUT_MS * 2);
    };
    const call = { signal: new AbortController().signal, admitWrite };
    const answer = await requester.write(
      'DescribeSecret',
      call,
      (options) => client.send(new DescribeSecretCommand({ SecretId: '/a' }), options),
      hasNothing,
    );
    expect(answer).toMatchObject({ ok: false, name: 'ResourceNotFoundException' });
    expect(standin.calls).toHaveLength(1);
  });

  it('says where it asked and what to do, and no name or password of the address', async () => {
    const { standin, client, release } = await bench('someone:MARK-login@');
    release();
    const requester = awsRequester('aws-secrets-manager', ANSWERED_MS, { region: 'eu-west-1' });
    const messageUnder = async (fault: Fault): Promise<string> => {
      const id = standin.fault(fault);
      const answer = await requester.read(
        'DescribeSecret',
        { signal: new AbortController().signal, admitWrite: () => Promise.resolve() },
        (options) => client.send(new DescribeSecretCommand({ SecretId: '/a' }), options),
        hasNothing,
      );
      standin.clearFaults(id);
      return answer.ok ? '' : answer.failure.error.message;
    };
    const place = `at 127.0.0.1:${standin.port}, region eu-west-1`;
    expect(await messageUnder({ kind: 'drop' })).toBe(
      `aws-secrets-manager: DescribeSecret failed with ECONNRESET ${place}: check OM_SM_REGION, AWS_ENDPOINT_URL and the network`,
    );
    expect(await messageUnder({ kind: 'error', name: 'AccessDeniedException' })).toBe(
      `aws-secrets-manager: DescribeSecret failed with AccessDeniedException ${place}: grant secretsmanager:DescribeSecret`,
    );
    expect(await messageUnder({ kind: 'error', name: 'ExpiredTokenException' })).toBe(
      `aws-secrets-manager: DescribeSecret failed with ExpiredTokenException ${place}: renew or correct the credentials (OM_SM_ACCESS_KEY_ID, or where the AWS SDK finds them)`,
    );
    expect(await messageUnder({ kind: 'error', name: 'ValidationException' })).toBe(
      'aws-secrets-manager: DescribeSecret failed with ValidationException',
    );
  });
});
