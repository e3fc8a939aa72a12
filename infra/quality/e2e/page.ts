import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { build, type Rolldown } from 'vite';

export const ROOT = join(import.meta.dirname, '../../..');

/** Bundles a script for a page from code that may import the project's own packages. */
export async function bundlePage(code: string): Promise<string> {
  const entry = join(ROOT, 'page.ts');
  const built = (await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    plugins: [
      {
        name: 'page',
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? code : null),
      },
    ],
    build: { write: false, target: 'es2023', rollupOptions: { input: entry } },
  })) as Rolldown.RolldownOutput;
  return built.output[0].code;
}

/** Serves one page, whose script is at `/page.js`. */
export const servePage = (port: number, page: string, script: string): Server =>
  createServer((request, response) => {
    const [type, text] = request.url === '/page.js' ? ['text/javascript', script] : ['text/html', page];
    response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` }).end(text);
  }).listen(port, '127.0.0.1');

/** A picture of one colour, as a Tight fill. */
export const FILLED = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 5, 0, 2, 208, 0, 0, 0, 7, 0x80, 200, 60, 20]);

/** Waits until an element shows that picture. */
export const filled = (page: Page, element: string): Promise<unknown> =>
  page.waitForFunction((selector) => {
    const canvas = document.querySelector<HTMLCanvasElement>(`${selector} canvas`);
    return canvas?.getContext('2d')?.getImageData(9, 9, 1, 1).data.join() === '200,60,20,255';
  }, element);
