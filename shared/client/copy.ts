/**
 * Copies a text to this computer's clipboard. Browsers permit this only after a gesture of the user. On a
 * page over plain HTTP it uses `document.execCommand('copy')`, because the Clipboard API is missing there.
 *
 * @returns whether the browser copied the text
 */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

function copyByCommand(text: string): boolean {
  const focused = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.readOnly = true;
  field.style.cssText = 'position:fixed;top:0;left:0;opacity:0';
  // While a dialog is open, no element outside of it can take the focus.
  (focused?.closest('dialog') ?? document.body).append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return copied;
}
