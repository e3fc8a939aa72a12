import type { Viewer } from '@warmwind/shared/client/viewer';
import { useState } from 'preact/hooks';

type Props = { viewer: () => Viewer | undefined; shared: boolean; onFailure: (message: string) => void };

/**
 * The switch that shares the clipboard with the desktop, and a field for text that is typed there, or put on
 * its clipboard where no key pastes.
 */
export function ClipboardMenu({ viewer, shared: before, onFailure }: Props) {
  const [shared, setShared] = useState(before);
  const [text, setText] = useState('');
  const share = (on: boolean) => {
    setShared(on);
    viewer()?.shareClipboard(on);
  };
  const put = async () => {
    try {
      if (await viewer()?.paste(text)) setText('');
      else onFailure('The desktop did not accept the text: take control first, or send a shorter text.');
    } catch (error) {
      onFailure((error as Error).message);
    }
  };
  const type = async () => {
    try {
      const [sent = 0, all] = [await viewer()?.type(text), [...text.replaceAll('\r\n', '\n')].length];
      if (sent === all) setText('');
      else
        onFailure(
          `${sent} of ${all} characters were sent: take control first, and leave out control characters.`,
        );
    } catch (error) {
      onFailure((error as Error).message);
    }
  };
  return (
    <details class="menu">
      <summary>Clipboard</summary>
      <div class="panel">
        <label class="line">
          <input type="checkbox" checked={shared} onChange={(event) => share(event.currentTarget.checked)} />
          Share clipboard
        </label>
        <small>
          Paste into the desktop with Ctrl+V. What you copy there with Ctrl+C comes to this computer; any
          other copied text is offered over the screen. Nothing is read or copied otherwise.
        </small>
        <textarea
          aria-label="Text for the desktop"
          placeholder="Text for the desktop"
          rows={3}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="button" disabled={text === ''} onClick={type}>
          Type into the desktop
        </button>
        <button type="button" disabled={text === ''} onClick={put}>
          Put on the desktop’s clipboard
        </button>
      </div>
    </details>
  );
}
