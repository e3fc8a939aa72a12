import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics under the names of llama.cpp's own server, so that its dashboards work. */
export function createMetrics(registry: Registry, load: () => { taken: number; waiting: number }) {
  const registers = [registry];
  new Gauge({
    name: 'llamacpp:requests_processing',
    help: 'Requests that are being answered',
    registers,
    collect() {
      this.set(load().taken);
    },
  });
  new Gauge({
    name: 'llamacpp:requests_deferred',
    help: 'Requests that wait for their turn',
    registers,
    collect() {
      this.set(load().waiting);
    },
  });
  return {
    promptTokens: new Counter({
      name: 'llamacpp:prompt_tokens_total',
      help: 'Prompt tokens that were processed',
      registers,
    }),
    predictedTokens: new Counter({
      name: 'llamacpp:tokens_predicted_total',
      help: 'Tokens that were generated',
      registers,
    }),
  };
}
