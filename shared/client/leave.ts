/** What a page writes where a user has to find out how the keyboard leaves the picture. */
export const LEAVE_KEYS = 'Ctrl+Alt+Shift';

/**
 * Calls `onLeave` when Ctrl, Alt and Shift are pressed together, one after another with sticky keys: all other keys are
 * the desktop's, Tab and Escape too. AltGr, which some systems send as Ctrl and Alt, does not count as Alt.
 *
 * @param stage holds what has the focus while the desktop is typed into
 * @returns a function that stops listening
 */
export function listenForLeaving(stage: HTMLElement, onLeave: () => void): () => void {
  let altGr = false;
  const pressed = (event: KeyboardEvent) => {
    if (event.code === 'AltRight') altGr = true;
    const { ctrlKey, altKey, shiftKey } = event;
    const isOne = /^(Control(Left|Right)|AltLeft|Shift(Left|Right))$/.test(event.code);
    if (!isOne || !(ctrlKey && altKey && shiftKey)) return;
    if (altGr || event.getModifierState('AltGraph')) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    onLeave();
  };
  const released = (event: KeyboardEvent) => {
    if (event.code === 'AltRight') altGr = false;
  };
  const left = () => {
    altGr = false;
  };
  stage.addEventListener('keydown', pressed, true);
  stage.addEventListener('keyup', released, true);
  stage.addEventListener('focusout', left);
  return () => {
    stage.removeEventListener('keydown', pressed, true);
    stage.removeEventListener('keyup', released, true);
    stage.removeEventListener('focusout', left);
  };
}
