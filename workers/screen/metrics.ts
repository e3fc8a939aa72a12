import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of a host's screens. Alert on failed streams, and on input dropped with reason `no_desktop`. */
export type ScreenMetrics = ReturnType<typeof createScreenMetrics>;

export function createScreenMetrics(registry: Registry) {
  const registers = [registry];
  return {
    streams: new Gauge({
      name: 'warmwind_screen_streams',
      help: 'Desktops whose screen is streamed now.',
      registers,
    }),
    updates: new Counter({
      name: 'warmwind_screen_updates_total',
      help: 'Screen updates published.',
      registers,
    }),
    bytes: new Counter({
      name: 'warmwind_screen_bytes_total',
      help: 'Bytes of frames published, by kind.',
      labelNames: ['kind'],
      registers,
    }),
    keyframes: new Counter({
      name: 'warmwind_screen_keys_total',
      help: 'Keyframes published.',
      registers,
    }),
    switches: new Counter({
      name: 'warmwind_screen_quality_switches_total',
      help: 'Changes of quality from lossless to JPEG, or back.',
      labelNames: ['to'],
      registers,
    }),
    malformed: new Counter({
      name: 'warmwind_screen_broken_total',
      help: 'Streams that failed while watched: the desktop misbehaved, or the realtime Redis was down.',
      registers,
    }),
    inputDropped: new Counter({
      name: 'warmwind_screen_input_dropped_total',
      help: 'Inputs that did not reach their desktop, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    screenshots: new Counter({
      name: 'warmwind_screen_screenshots_total',
      help: 'Screenshots requested, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
  };
}
