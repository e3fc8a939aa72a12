// `node probe.mjs /health/live`: exits 0 when this container's service answers 2xx in time.
const path = process.argv[2] ?? '/health/live';
const url = `http://127.0.0.1:${process.env.PORT}${path}`;
try {
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(4000) });
  process.exit(ok ? 0 : 1);
} catch {
  process.exit(1);
}
