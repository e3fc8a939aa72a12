/**
 * Takes back what the submit script wrote a moment ago for a submission that turned out to be another's repetition, as
 * long as nobody has taken it. The idempotency key is then forgotten too.
 * KEYS: as the submit script's after the limiter's scopes: idempotency, job, jobs, open jobs, container, containers, open
 * containers, input. ARGV: job id, container id ('' when the job makes none). → {'ok'} · {'kept'}.
 */
export const withdrawScript = /* lua */ `
if redis.call('HGET', KEYS[2], 'fence') ~= '0' then return {'kept'} end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[8])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
if ARGV[2] ~= '' then
  redis.call('DEL', KEYS[5])
  redis.call('ZREM', KEYS[6], ARGV[2])
  redis.call('ZREM', KEYS[7], ARGV[2])
end
return {'ok'}
`;
