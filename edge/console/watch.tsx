import type { ViewerControl } from '@warmwind/shared/client/viewer';
import { type Container, hasEnded } from '@warmwind/shared/contract/containers';
import { OCR_MODEL } from '@warmwind/shared/contract/inference';
import { useRef, useState } from 'preact/hooks';
import { useAsk } from './ask.ts';
import { ExtendButton, PauseButton } from './life.tsx';
import { LinkList, ShareLinks, useShareLinks } from './links.tsx';
import { ago, endOf, State, useNotice } from './parts.tsx';
import { HOME } from './place.ts';
import { Reading } from './reading.tsx';
import { ScreenView } from './screen.tsx';
import { StopButton } from './stop.tsx';
import type { Store } from './store.ts';
import { TerminalPanel } from './terminal.tsx';
import { Watchers } from './watchers.tsx';

/** The page of one desktop, with all actions of its owner. */
export function Watch({ store, desktop }: { store: Store; desktop: Container }) {
  const { id, name, state, expiresAt, endedAt } = desktop;
  const [notice, notify] = useNotice(state);
  const [control, setControl] = useState<ViewerControl>();
  const reading = useAsk(store);
  const over = hasEnded(state);
  const [links, linkList] = useShareLinks(store, id);
  const refreshLinks = () => linkList.request();
  const [inTerminal, setInTerminal] = useState(false);
  const toggle = useRef<HTMLButtonElement>(null);
  const closeTerminal = () => {
    setInTerminal(false);
    toggle.current?.focus();
  };
  const sharing = { store, id, onChange: refreshLinks, onFailure: notify };

  return (
    <section class="watch">
      <div class="line">
        <a href={HOME}>← All desktops</a>
        <strong>{name}</strong>
        <State state={state} />
        {!over && expiresAt && <small>ends {ago(expiresAt)}</small>}
        {over && endedAt && (
          <small>
            {endOf(desktop)} {ago(endedAt)}
          </small>
        )}
        <span class="gap" />
        {!over && (
          <>
            <button
              type="button"
              disabled={reading.answer?.busy || state !== 'running'}
              onClick={() => reading.ask(() => ({ model: OCR_MODEL, containerId: id }))}
            >
              Read the text
            </button>
            <button
              type="button"
              ref={toggle}
              aria-expanded={inTerminal}
              disabled={state !== 'running' && !inTerminal}
              onClick={() => setInTerminal(!inTerminal)}
            >
              Terminal
            </button>
            <ShareLinks {...sharing} />
            <ExtendButton store={store} desktop={desktop} onFailure={notify} />
            <PauseButton store={store} desktop={desktop} onFailure={notify} />
            <StopButton store={store} desktop={desktop} onFailure={notify} />
          </>
        )}
      </div>
      {notice}
      <div class={inTerminal ? 'desk split' : 'desk'}>
        <ScreenView
          relay={() => store.relay()}
          containerId={id}
          reading={reading.answer?.result}
          onControl={setControl}
          owner
        />
        {inTerminal && <TerminalPanel relay={() => store.relay()} containerId={id} onClose={closeTerminal} />}
      </div>
      {reading.answer && <Reading answer={reading.answer} onClose={reading.clear} />}
      {!over && <Watchers store={store} id={id} control={control} onRevoked={refreshLinks} />}
      {!over && <LinkList {...sharing} links={links} refresher={linkList} />}
    </section>
  );
}
