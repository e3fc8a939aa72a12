import page from './dist/page.text';
import script from './dist/script.text';
import style from './dist/style.text';
import terminal from './dist/terminal.text';

/**
 * The built console, as text: it is part of the Worker and comes from no other origin. `edge/build.ts` builds
 * it.
 */
export { page, script, style, terminal };
