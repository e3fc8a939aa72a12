import { type Connection, connect } from '@warmwind/shared/client/client';
import type { ContainerClient } from '@warmwind/shared/client/container';
import { openTunnel, type Tunnel, type TunnelOptions } from '@warmwind/shared/client/node/tunnel';
import { createWarmwind, type Warmwind } from '@warmwind/shared/client/warmwind';
import { type Browser, chromium, type Page } from 'playwright-core';
import { ensureDesktopImage } from '../../images/desktop/build.ts';
import { ensureEngine } from '../../local/engine/engine.ts';
import { waitFor } from '../testing/wait.ts';
import { createStack, type TestStack } from './stack.ts';

export const SCREEN = { width: 1280, height: 800 };
const DEVTOOLS_PORT = 9222;
const LIMITS = '{"user": [], "ip": [], "containers.start": [], "containers.actions": []}';

/** A desktop of the image with Chromium, on a stack of its own, and tunnels to it. */
export class BrowserDesktop {
  readonly desktop: ContainerClient;
  readonly #stack: TestStack;
  readonly #warmwind: Warmwind;
  readonly #relay: Connection;
  readonly #ends: (() => Promise<unknown>)[] = [];

  private constructor(stack: TestStack, warmwind: Warmwind, desktop: ContainerClient) {
    this.#stack = stack;
    this.#warmwind = warmwind;
    this.desktop = desktop;
    const token = async () => (await warmwind.edge.createTicket({ mode: 'control' })).token;
    this.#relay = connect({ url: stack.file().relay, token });
  }

  /** Builds the image when it is missing, and starts the stack and the desktop. */
  static async start(): Promise<BrowserDesktop> {
    const { socket } = await ensureEngine({ holder: Number(process.env.WARMWIND_TEST_PID ?? process.pid) });
    const { exact } = await ensureDesktopImage({ socket, flavour: 'desktop-browser' });
    const stack = createStack({
      MODEL_SERVER: 'off',
      RATE_LIMITS: LIMITS,
      DESKTOP_IMAGES: JSON.stringify({ 'desktop-browser': exact }),
    });
    try {
      await stack.start();
      const { edge, tokens } = stack.file();
      const warmwind = createWarmwind({ url: edge, token: tokens.user });
      const desktop = await warmwind.start({ ...SCREEN, memoryMb: 1536, cpus: 2, ttlSeconds: 3600 });
      return new BrowserDesktop(stack, warmwind, desktop);
    } catch (error) {
      await stack.remove();
      throw error;
    }
  }

  /** Runs a script that ends soon. @returns its output */
  async run(script: string): Promise<string> {
    return (await this.desktop.exec(['sh', '-c', script]).result).stdout;
  }

  /** Opens a loopback port that leads into the desktop. */
  async tunnel(to: TunnelOptions['to']): Promise<Tunnel> {
    const tunnel = await openTunnel({ relay: this.#relay, containerId: this.desktop.id, to });
    this.#ends.push(tunnel.close);
    return tunnel;
  }

  /** Starts Chromium in the desktop, and connects to it by Playwright. @param args further arguments */
  async openChromium(args: string[] = []): Promise<Browser> {
    const flags = [`--remote-debugging-port=${DEVTOOLS_PORT}`, '--user-data-dir=/tmp/profile'];
    await this.desktop.spawn(['chromium', ...flags, ...args]);
    const { port } = await this.tunnel(DEVTOOLS_PORT);
    const url = `http://127.0.0.1:${port}`;
    const answers = () =>
      fetch(`${url}/json/version`).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor('the DevTools port', answers, 60_000);
    const browser = await chromium.connectOverCDP(url);
    this.#ends.push(() => browser.close());
    return browser;
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
    this.#relay.close();
    await this.#warmwind.close();
    await this.#stack.remove();
  }
}

/** The page that a browser opened first. */
export const firstPage = (browser: Browser): Promise<Page> =>
  waitFor('a page', () => browser.contexts()[0]?.pages()[0]);
