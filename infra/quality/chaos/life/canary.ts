import { newId } from '@warmwind/shared/contract/ids';

/** A text that must be found in one desktop only. `place` is where it was left: file, cookie, env, clipboard. */
export const canaryOf = (container: number, place: string): string =>
  `canary-${container}x${place}x${newId().replaceAll('-', '').slice(0, 12)}`;

/** The desktop that a canary belongs to. */
export const containerOf = (canary: string): number => Number(/^canary-(\d+)x/.exec(canary)?.[1] ?? -1);

/**
 * A shell script that prints every canary that a program of the desktop's user can find: in its files, in the
 * memory file systems, in the environment and arguments of processes and on the clipboard. Its own arguments hold no
 * canary.
 */
export const SEARCH = String.raw`
pattern='canary-[0-9][a-z0-9]\{6,\}'
{
  grep -rhao -D skip "$pattern" "$HOME" /tmp /var/tmp /dev/shm /run 2>/dev/null
  cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -ao "$pattern"
  for selection in primary clipboard; do
    DISPLAY=:0 timeout 3 xclip -o -selection $selection 2>/dev/null | grep -ao "$pattern"
  done
} | sort -u
exit 0`;

/** A shell script that leaves canaries where programs leave theirs. */
export const plantScript = (file: string, cookie: string): string => `
mkdir -p "$HOME/.config/chromium/Default" && echo ${file} > "$HOME/secret.txt" && echo ${file} > /tmp/secret.txt
echo ${file} > /dev/shm/secret
printf 'example.com\\tTRUE\\t/\\tTRUE\\t0\\tsession\\t%s\\n' ${cookie} > "$HOME/.config/chromium/Default/Cookies"`;
