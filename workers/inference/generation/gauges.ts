/** Under which names servers say how many requests wait in them: vLLM; llama.cpp's server, and ours; TGI. */
const WAITING =
  /^(?:vllm:num_requests_waiting|llamacpp:requests_deferred|tgi_queue_size)(?:\{[^}]*\})? +(\S+)/gm;

/** A server's metrics (Prometheus text) → how many requests wait in it; 0 when it does not say. */
export function readWaiting(metrics: string): number {
  let waiting = 0;
  for (const [, value] of metrics.matchAll(WAITING)) waiting += Math.max(0, Number(value) || 0);
  return waiting;
}
