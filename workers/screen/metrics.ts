import { Counter, Gauge, type Registry } from 'prom-client';

/** What the screens of a host count. Alerts worth having: streams broken, input dropped for want of a reading desktop. */
export type ScreenMetrics = ReturnType<typeof createScreenMetrics>;

export function createScreenMetrics(registry: Registry) {
  const registers = [registry];
  return {
    streams: new Gauge({
      name: 'warmwind_screen_streams',
      help: 'Desktops whose screen somebody watches now.',
      registers,
    }),
    updates: new Counter({
      name: 'warmwind_screen_updates_total',
      help: 'Changes of screens that were published.',
      registers,
    }),
    bytes: new Counter({
      name: 'warmwind_screen_bytes_total',
      help: 'Bytes of frames that were published, by their kind.',
      labelNames: ['kind'],
      registers,
    }),
    keys: new Counter({
      name: 'warmwind_screen_keys_total',
      help: 'Key frames that were published.',
      registers,
    }),
    switches: new Counter({
      name: 'warmwind_screen_quality_switches_total',
      help: 'How often a screen went from lossless to JPEG, or back.',
      labelNames: ['to'],
      registers,
    }),
    malformed: new Counter({
      name: 'warmwind_screen_broken_total',
      help: 'Streams that ended while somebody watched: the desktop misbehaved, or the realtime Redis was away.',
      registers,
    }),
    inputDropped: new Counter({
      name: 'warmwind_screen_input_dropped_total',
      help: 'Input that did not reach its desktop, by the reason.',
      labelNames: ['reason'],
      registers,
    }),
    screenshots: new Counter({
      name: 'warmwind_screen_screenshots_total',
      help: 'Pictures that were asked for, by how that ended.',
      labelNames: ['outcome'],
      registers,
    }),
  };
}
