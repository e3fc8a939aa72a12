import { signal } from '@preact/signals';

/** What the address says behind its `#`: where in the console one is, or a share link. Reload, back and forward keep it. */
export const hash = signal(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

export const HOME = '#/';
export const desktopAddress = (id: string): string => `#/desktops/${id}`;

/** The desktop whose page this is. */
export const desktopInAddress = (): string | undefined =>
  /^#\/desktops\/([\w-]{1,64})$/.exec(hash.value)?.[1];
