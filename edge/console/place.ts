import { signal } from '@preact/signals';

/**
 * The fragment of the address: the present page of the console, or a share link. Reload, back and forward
 * keep it.
 */
export const hash = signal(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

export const HOME = '#/';
export const desktopAddress = (id: string): string => `#/desktops/${id}`;

/** The desktop whose page this is. */
export const desktopInAddress = (): string | undefined =>
  /^#\/desktops\/([\w-]{1,64})$/.exec(hash.value)?.[1];
