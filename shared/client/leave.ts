/** The keys that move the keyboard focus out of the screen, for a page to show. */
export const LEAVE_KEYS = 'Ctrl+Alt+Shift';

/**
 * Calls `onLeave` when Ctrl, Alt and Shift are pressed together, or one after another with sticky keys. All
 * other keys, Tab and Escape included, go to the desktop. AltGr, which some systems send as Ctrl and Alt,
 * does not count as Alt.
 *
 * @param stage contains the focused element while the user types into the desktop
 * @returns a function that stops listening
 */
export function listenForLeaving(stage: HTMLElement, onLeave: () => void): () => void {
  let altGr = false;
  const pressed = (event: KeyboardEvent) => {
    if (event.code === 'AltRight') altGr = true;
    const { ctrlKey, altKey, shiftKey } = event;
    const isModifier = /^(Control(Left|Right)|AltLeft|Shift(Left|Right))$/.test(event.code);
    if (!isModifier || !(ctrlKey && altKey && shiftKey)) return;
    if (altGr || event.getModifierState('AltGraph')) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    onLeave();
  };
  const released = (event: KeyboardEvent) => {
    if (event.code === 'AltRight') altGr = false;
  };
  const focusLost = () => {
    altGr = false;
  };
  stage.addEventListener('keydown', pressed, true);
  stage.addEventListener('keyup', released, true);
  stage.addEventListener('focusout', focusLost);
  return () => {
    stage.removeEventListener('keydown', pressed, true);
    stage.removeEventListener('keyup', released, true);
    stage.removeEventListener('focusout', focusLost);
  };
}
