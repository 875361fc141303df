import { expect, it } from 'vitest';
import { Metrics } from '../../../src/observability/index.js';
import type { HandledRecord } from '../../../src/pipeline/observer.js';

const handled: HandledRecord = {
  record: { topic: 't', partition: 0, offset: 1 },
  outcome: 'applied',
  code: null,
  eventId: 'event-4711',
  eventType: 'entityCreated',
  connectionId: 'connection-4711',
  secretFields: 2,
  writes: 2,
  notes: [],
  reported: ['/connection/config/options/token'],
  isAgain: false,
  durationMs: 30,
};

it('counts events by outcome and code, and nothing by id', async () => {
  const metrics = new Metrics({ version: '1.0.0', manager: 'local' });
  metrics.handled(handled);
  metrics.handled({ ...handled, outcome: 'refused', code: 'FIELD_NOT_A_STRING', writes: 0, reported: [] });
  metrics.handled({ ...handled, outcome: 'waiting', code: 'MASK_WITHOUT_ORIGINAL', writes: 0 });
  metrics.deadLetter('FIELD_NOT_A_STRING');
  metrics.handled({ ...handled, outcome: 'refused', code: 'FIELD_NOT_A_STRING', isAgain: true });
  metrics.handedBack('STORE_UNAVAILABLE');
  const text = await metrics.render();
  expect(text).toContain('connection_secrets_events_total{outcome="applied",code=""} 1');
  expect(text).toContain('connection_secrets_events_total{outcome="refused",code="FIELD_NOT_A_STRING"} 1');
  expect(text).toContain('connection_secrets_dead_letters_total{code="FIELD_NOT_A_STRING"} 1');
  expect(text).not.toContain('dead_letters_total{code="MASK_WITHOUT_ORIGINAL"} 1');
  expect(text).toContain('connection_secrets_retries_total{code="STORE_UNAVAILABLE"} 1');
  expect(text).toContain('connection_secrets_retries_total{code="FIELD_NOT_A_STRING"} 1');
  expect(text).toContain('connection_secrets_secret_writes_total 2');
  expect(text).toContain('connection_secrets_event_duration_seconds_bucket{le="0.05",outcome="applied"} 1');
  expect(text).toContain('connection_secrets_info{version="1.0.0",manager="local"} 1');
  expect(text).not.toContain('4711');
});

it('counts store calls by provider, call and result', async () => {
  const metrics = new Metrics({ version: '1', manager: 'managed-aws' });
  metrics.storeRequest({ provider: 'aws-ssm', call: 'PutParameter', result: 'ok', durationMs: 120 });
  metrics.storeRequest({
    provider: 'aws-ssm',
    call: 'PutParameter',
    result: 'ThrottlingException',
    durationMs: 5,
  });
  const text = await metrics.render();
  for (const result of ['ok', 'ThrottlingException'])
    expect(text).toContain(
      `connection_secrets_store_calls_total{provider="aws-ssm",call="PutParameter",result="${result}"} 1`,
    );
  expect(text).toContain(
    'connection_secrets_store_call_duration_seconds_count{provider="aws-ssm",call="PutParameter"} 2',
  );
});

it('shows the lag of every partition, also of other workers, and NaN if it is unknown', async () => {
  const metrics = new Metrics({ version: '1', manager: 'db' });
  const lag = 'connection_secrets_consumer_lag_records{topic="a",partition="0"}';
  metrics.lag({ topic: 'a', partition: 0 }, 7);
  metrics.assigned([{ topic: 'a', partition: 1 }]);
  expect(await metrics.render()).toContain(`${lag} 7`);
  metrics.lagUnknown();
  expect(await metrics.render()).toContain(`${lag} Nan`);
});

it('starts every series of an alarm at 0: a series that starts at 1 shows no increase', async () => {
  const metrics = new Metrics({ version: '1', manager: 'db' });
  metrics.lag({ topic: 'a', partition: 0 }, 0);
  const text = await metrics.render();
  for (const series of [
    'dead_letters_total{code="FIELD_NOT_A_STRING"}',
    'dead_letters_total{code="SECRET_VERSION_GONE"}',
    'noted_events_total{note="mask-on-new-endpoint"}',
    'stored_secrets_tidied_total{result="lost"}',
    'migration_connections_total{result="moved"}',
    'missed_records_total{topic="a",partition="0",reason="expired"}',
    'reported_fields_total',
  ])
    expect(text).toContain(`connection_secrets_${series} 0`);
});

it('shows NaN, not 0, if the backlog is unknown', async () => {
  const metrics = new Metrics({ version: '1', manager: 'db' });
  expect(await metrics.render()).toContain('connection_secrets_outbox_unsent Nan');
  metrics.backlog({ unsent: 3, waiting: 2, dead: 1 });
  const text = await metrics.render();
  expect(text).toContain('connection_secrets_outbox_unsent 3');
  expect(text).toContain('connection_secrets_kept_events{state="dead"} 1');
});
