import { hosts } from './dns.ts';
import { groups, PORTS } from './network.ts';
import { queue } from './redis.ts';
import { webService } from './service.ts';
import { stage } from './stage.ts';

/** Our REST protocol in front of a queue Redis in our network; Upstash speaks it itself. */
export const rest = queue.rest ?? ownGateway();

function ownGateway() {
  const token = new random.RandomPassword('GatewayToken', { length: 48, special: false }).result;
  webService('Gateway', {
    target: 'gateway',
    host: hosts.gateway,
    port: PORTS.gateway,
    size: { ...stage.relay, max: 8 },
    balancer: groups.gatewayBalancer,
    group: groups.gateway,
    environment: {},
    secrets: { REDIS_URL: queue.url, GATEWAY_TOKEN: token },
  });
  return { url: $util.output(`https://${hosts.gateway}`), token };
}
