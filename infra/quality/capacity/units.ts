import { measured, screens } from './figures.ts';
import { acksOf } from './load.ts';
import { sizes } from './sizes.ts';
import { number, table } from './table.ts';

const { relay, redis } = measured;
/** The unit figures are for a frame of an animation. */
const { fps, frameBytes } = screens.animation;

const deliveryUs =
  relay.deliveries + frameBytes * relay.deliveryBytes + (acksOf(fps, frameBytes) / fps) * relay.acks;
const receivedUs = relay.frames + frameBytes * relay.frameBytes;
const publishedUs = redis.published + frameBytes * redis.publishedBytes;
const copyUs = redis.copies + frameBytes * redis.frameBytes;
const frame = `a frame of ${number(frameBytes / 1000)} KB`;

/** Prints the unit figures as tables of the page. */
export function units(): string {
  const services = table(
    ['unit', 'costs', 'rate of one processor'],
    [
      [`relay: ${frame} delivered, with its share of acknowledgements`, us(deliveryUs), aSecond(deliveryUs)],
      [`relay: ${frame} received from Redis, once a node`, us(receivedUs), aSecond(receivedUs)],
      ['relay: an event delivered', us(relay.eventDeliveries), aSecond(relay.eventDeliveries)],
      ['relay: an event received, once a node', us(relay.events), aSecond(relay.events)],
      [
        'relay: a viewer that connects',
        `${number(measured.connectMs)} ms`,
        aSecond(measured.connectMs * 1000),
      ],
      ['relay: a node at rest', `${number(relay.nodes / 1000)} ms a second`, ''],
      [`Redis: ${frame} published`, us(publishedUs), aSecond(publishedUs)],
      ['Redis: in addition when woken from sleep', us(redis.naps), ''],
      [`Redis: ${frame} to each node that follows`, us(copyUs), aSecond(copyUs)],
      ['Redis: an event appended and published', us(redis.appended), aSecond(redis.appended)],
      ['memory: a relay node', `${number(measured.nodeMb)} MB, garbage ${number(measured.garbageMb)} MB`, ''],
      ['memory: a socket', `${number(measured.socketKb)} KB`, ''],
      [
        'wire: a frame’s head, an event',
        `${number(measured.frameHeadBytes)} B, ${measured.eventBytes} B`,
        '',
      ],
    ],
  );
  const desktops = table(
    [
      'a desktop with a viewer',
      'frames /s',
      'bytes of one',
      'keyframe, KB',
      'container, ms/s',
      'bridge, ms/s',
      'MB',
    ],
    Object.entries(screens).map(([name, of]) => [
      name,
      ...[of.fps, of.frameBytes, of.keyBytes / 1000, of.desktopMs, of.bridgeMs, of.desktopMb].map(number),
    ]),
  );
  return `${services}\n\n${desktops}`;
}

const us = (value: number): string => `${number(value)} µs`;
const aSecond = (value: number): string =>
  `${number((1e6 / value) * sizes.relay.utilisation)} /s at ${sizes.relay.utilisation * 100} %`;
