/** The metrics of waiting requests: of vLLM, of llama.cpp's server and ours, of TGI. */
const WAITING =
  /^(?:vllm:num_requests_waiting|llamacpp:requests_deferred|tgi_queue_size)(?:\{[^}]*\})? +(\S+)/gm;

/**
 * Reads the number of waiting requests from a server's metrics (Prometheus text); 0 when it does not report
 * it.
 */
export function readWaiting(metrics: string): number {
  let waiting = 0;
  for (const [, value] of metrics.matchAll(WAITING)) waiting += Math.max(0, Number(value) || 0);
  return waiting;
}
