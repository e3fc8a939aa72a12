import type { Connection } from '@warmwind/shared/client/client';
import { listenForLeaving } from '@warmwind/shared/client/leave';
import { attachTerminal, openTerminal, type Terminal } from '@warmwind/shared/client/terminal';
import { TerminalError } from '@warmwind/shared/client/terminal-error';
import type { RefObject } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { TerminalView } from './terminal-view.ts';

export type TerminalOptions = {
  relay: () => Promise<Connection>;
  containerId: string;
  /** Called with the reason why no terminal takes input; '' while one does. */
  onStatus: (status: string) => void;
  onSelection: (selected: boolean) => void;
  onLeave: () => void;
};

type Parts = { view: RefObject<TerminalView | undefined>; terminal: RefObject<Terminal | undefined> };

/**
 * A terminal in `stage`, as long as the component is shown.
 * @param times opens another terminal when it changes
 */
export function useTerminal(
  stage: RefObject<HTMLDivElement | null>,
  times: number,
  options: TerminalOptions,
): Parts {
  const view = useRef<TerminalView>(undefined);
  const terminal = useRef<Terminal>(undefined);
  useEffect(() => {
    const shown = new AbortController();
    options.onStatus('Opening a terminal …');
    run({ view, terminal }, stage.current, shown.signal, options).then(
      (status) => !shown.signal.aborted && options.onStatus(status),
      (error: Error) => !shown.signal.aborted && options.onStatus(error.message),
    );
    const stopListening = stage.current ? listenForLeaving(stage.current, options.onLeave) : undefined;
    return () => {
      stopListening?.();
      shown.abort();
      view.current?.close();
      view.current = undefined;
      terminal.current = undefined;
    };
  }, [options.containerId, times]);
  return { view, terminal };
}

/** Shows a terminal until its program ends. @returns how it ended */
async function run(
  parts: Parts,
  stage: HTMLDivElement | null,
  signal: AbortSignal,
  { relay, containerId, onStatus, onSelection }: TerminalOptions,
): Promise<string> {
  const [{ TerminalView }, connection] = await Promise.all([import('./terminal-view.ts'), relay()]);
  signal.throwIfAborted();
  if (!stage) throw new Error('There is no room for a terminal.');
  let write = (_: Uint8Array): void => undefined;
  const view = new TerminalView(stage, {
    onInput: (bytes) => write(bytes),
    onSize: (size) => parts.terminal.current?.resize(size),
    onSelection,
  });
  parts.view.current = view;
  const terminal = await attachOrOpen(connection, { containerId, view, signal });
  parts.terminal.current = terminal;
  terminal.resize(view.size);
  const writer = terminal.writable.getWriter();
  write = (bytes) => void writer.write(bytes).catch(() => undefined);
  onStatus('');
  view.focus();
  const reader = terminal.readable.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) await view.write(next.value);
  const exit = await terminal.exited;
  localStorage.removeItem(keyOf(containerId));
  return exit.signal
    ? `The terminal was ended by ${exit.signal}.`
    : `The terminal has ended with code ${exit.code}.`;
}

const keyOf = (containerId: string): string => `terminal:${containerId}`;

type Opening = { containerId: string; view: TerminalView; signal: AbortSignal };

/** Attaches to the terminal that this browser opened before, or opens one. */
async function attachOrOpen(
  connection: Connection,
  { containerId, view, signal }: Opening,
): Promise<Terminal> {
  const onGap = (bytes: number) => void view.write(`\r\n[${bytes} bytes of output are missing]\r\n`);
  const known = localStorage.getItem(keyOf(containerId));
  if (known) {
    const terminal = await attachTerminal(connection, { ttyId: known, signal, onGap }).catch(
      (error: unknown) => {
        if (error instanceof TerminalError && error.code === 'not_found') return undefined;
        throw error;
      },
    );
    if (terminal) return terminal;
  }
  const terminal = await openTerminal(connection, { containerId, ...view.size, signal, onGap });
  localStorage.setItem(keyOf(containerId), terminal.ttyId);
  return terminal;
}
