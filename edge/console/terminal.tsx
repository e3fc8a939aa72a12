import type { Connection } from '@warmwind/shared/client/client';
import { LEAVE_KEYS } from '@warmwind/shared/client/leave';
import { useRef, useState } from 'preact/hooks';
import { useNotice } from './parts.tsx';
import { useTerminal } from './use-terminal.ts';

type Props = { relay: () => Promise<Connection>; containerId: string; onClose: () => void };

/** A terminal of a desktop. The console opens one for each desktop, and attaches to it again later. */
export function TerminalPanel({ relay, containerId, onClose }: Props) {
  const stage = useRef<HTMLDivElement>(null);
  const leave = useRef<HTMLButtonElement>(null);
  const [status, setStatus] = useState('Opening a terminal …');
  const [opened, setOpened] = useState(0);
  const [selected, setSelected] = useState(false);
  const [notice, notify] = useNotice(opened);
  const { view, terminal } = useTerminal(stage, opened, {
    relay,
    containerId,
    onStatus: setStatus,
    onSelection: setSelected,
    onLeave: () => leave.current?.focus(),
  });

  const copy = () =>
    navigator.clipboard
      .writeText(view.current?.selection ?? '')
      .catch(() => notify('The browser does not permit copying here.'));
  const paste = () =>
    navigator.clipboard.readText().then(
      (text) => {
        view.current?.paste(text);
        view.current?.focus();
      },
      () => notify('The browser does not permit reading the clipboard: paste with Ctrl+Shift+V.'),
    );
  const end = () => terminal.current?.close().then(onClose, (error: Error) => notify(error.message));

  return (
    <section class="terminal" data-state={status === '' ? 'live' : 'waiting'} aria-label="Terminal">
      <div class="line tools">
        <button type="button" ref={leave} onClick={onClose}>
          Hide
        </button>
        <button type="button" disabled={status !== ''} onClick={end}>
          End
        </button>
        <span class="gap" />
        <small class="keys">{LEAVE_KEYS} leaves it</small>
        <button type="button" disabled={!selected} onClick={copy}>
          Copy
        </button>
        <button type="button" disabled={status !== ''} onClick={paste}>
          Paste
        </button>
      </div>
      {notice}
      <div class="shell">
        <div class="shell-stage" ref={stage} />
        {status !== '' && (
          <p class="over" role="status">
            {status}
            {!status.endsWith('…') && (
              <button type="button" onClick={() => setOpened(opened + 1)}>
                Open a terminal
              </button>
            )}
          </p>
        )}
      </div>
    </section>
  );
}
