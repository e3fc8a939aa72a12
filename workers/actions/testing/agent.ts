import type { Action } from '@warmwind/shared/contract/actions/action';
import { ActionsAnswer } from '@warmwind/shared/contract/actions/answer';
import type { ActionsInput } from '@warmwind/shared/contract/actions/input';
import { containerActions } from '@warmwind/shared/contract/commands/container-actions';
import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import type { Holder } from '@warmwind/shared/contract/screen';
import type { CallAnswer, CallRequest } from '@warmwind/shared/engine/node/caller';
import { actOnControl } from '@warmwind/shared/engine/node/control';
import sharp from 'sharp';
import type { z } from 'zod';
import { asDesktop } from '../../../infra/quality/testing/docker.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { createTestCaller } from '../../testing/caller.ts';
import type { Fleet } from '../../testing/fleet.ts';
import type { Submitted } from '../../testing/submissions.ts';

type Options = Omit<z.input<typeof ActionsInput>, 'actions'>;
type More = Partial<Pick<CallRequest, 'credential' | 'keyHash' | 'signal'>>;

/** Acts on a desktop of a fleet as an agent does, and runs commands inside of it. */
export class TestAgent {
  readonly desktop: Submitted;
  readonly #fleet: Fleet;
  readonly #caller: Awaited<ReturnType<typeof createTestCaller>>;

  private constructor(
    fleet: Fleet,
    desktop: Submitted,
    caller: Awaited<ReturnType<typeof createTestCaller>>,
  ) {
    this.#fleet = fleet;
    this.desktop = desktop;
    this.#caller = caller;
  }

  static async of(fleet: Fleet, desktop: Submitted): Promise<TestAgent> {
    return new TestAgent(fleet, desktop, await createTestCaller(fleet.realtime.url));
  }

  close(): Promise<void> {
    return this.#caller.close();
  }

  /** Sends a call. Without `settle` it ends as soon as its input was sent. */
  async act(actions: Action[], { settle = false, ...options }: Options = {}, more: More = {}) {
    const input = containerActions.input.parse({ actions, settle, ...options });
    const { bytes } = await this.#send({ command: containerActions, input, ...more });
    return ActionsAnswer.parse(JSON.parse(bytes.toString()));
  }

  /** A viewer of the owner, or another holder, acts on control. @returns the lease */
  async control(
    action: 'request' | 'take' | 'release',
    holder: Holder = { type: 'viewer', viewerId: 'human', userId: this.desktop.userId },
  ): Promise<number> {
    const { containerId } = this.desktop;
    return (await actOnControl(this.#fleet.realtime.client, containerId, action, holder)).lease;
  }

  screenshot(input: z.input<typeof containerScreenshot.input> = {}): Promise<CallAnswer> {
    return this.#send({ command: containerScreenshot, input: containerScreenshot.input.parse(input) });
  }

  /** Reads one pixel. @returns its red, green and blue as one number */
  async pixel(x: number, y: number): Promise<number> {
    const { bytes } = await this.screenshot({ region: `${x},${y},1,1` });
    return (await sharp(bytes).raw().toBuffer()).readUIntBE(0, 3);
  }

  #send(request: Pick<CallRequest, 'command' | 'input'> & More): Promise<CallAnswer> {
    const { userId, containerId } = this.desktop;
    return this.#caller.caller.call({
      userId,
      containerId,
      incarnation: 1,
      credential: 'token:one',
      ...request,
    });
  }

  /** Starts a program on the desktop. */
  async launch(command: string): Promise<void> {
    await (await this.#exec(command)).start({ Detach: true });
  }

  /** Runs a command in the container. @returns its output, without the last line break */
  async inside(command: string): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of await (await this.#exec(command)).start({})) chunks.push(Buffer.from(chunk));
    // The engine puts a head of eight bytes before each piece.
    const pieces: Buffer[] = [];
    for (let all = Buffer.concat(chunks); all.length > 8; ) {
      const end = 8 + all.readUInt32BE(4);
      pieces.push(all.subarray(8, end));
      all = all.subarray(end);
    }
    return Buffer.concat(pieces).toString().trimEnd();
  }

  async #exec(command: string) {
    const container = this.#fleet.docker.getContainer(await this.#fleet.instance(this.desktop));
    return container.exec({
      ...(await asDesktop(container)),
      Cmd: ['sh', '-c', command],
      AttachStdout: true,
    });
  }
}

/** What a terminal that fills the screen saw of the pointer: xterm's codes of buttons, and pixels from 1 on. */
export type MouseReport = { code: number; x: number; y: number; pressed: boolean };

/** Background of the terminal that every desktop starts with, and of recording ones. */
const SESSION_COLOR = 0x211a21;
const COLOR = '654321';

/** A terminal that fills the screen, and records what it sees of pointer and keys. */
export class RecordingTerminal {
  readonly #agent: TestAgent;
  readonly #file: string;

  private constructor(agent: TestAgent, file: string) {
    this.#agent = agent;
    this.#file = file;
  }

  /** @param modes of xterm's reports of the pointer: 1000 are buttons, 1002 also moves with a button */
  static async open(
    agent: TestAgent,
    name: string,
    { modes = '1000', program = 'cat' } = {},
  ): Promise<RecordingTerminal> {
    const file = `/tmp/${name}`;
    const init = `\\033[?${modes}h\\033[?1016h\\033]11;#${COLOR}\\007`;
    // The desktop's own terminal comes to the front when it starts.
    await waitFor('the desktop', async () => (await agent.pixel(400, 400)) === SESSION_COLOR);
    await agent.launch(
      `xterm -fullscreen -b 0 -xrm '*scrollBar: false' -xrm '*omitTranslation: popup-menu' -e sh -c 'stty raw -echo; printf "${init}"; ${program} >> ${file}'`,
    );
    await waitFor('the terminal', async () => (await agent.pixel(400, 400)) === Number.parseInt(COLOR, 16));
    return new RecordingTerminal(agent, file);
  }

  /** Everything that it received, with control characters as `cat -v` shows them. */
  received(): Promise<string> {
    return this.#agent.inside(`cat -v ${this.#file}`);
  }

  /** Waits until the program has received this. */
  async receives(pattern: RegExp): Promise<string> {
    return waitFor(`${pattern}`, async () => {
      const text = await this.received();
      return pattern.test(text) && text;
    });
  }

  /** Waits until it has received as many reports as the list has, and returns the last of them. */
  async reports(count: number): Promise<MouseReport[]> {
    return waitFor(`${count} reports`, async () => {
      const found = [...(await this.received()).matchAll(/\^\[\[<(\d+);(\d+);(\d+)([Mm])/g)];
      if (found.length < count) return undefined;
      return found.map(([, code, x, y, end]) => ({
        code: Number(code),
        x: Number(x),
        y: Number(y),
        pressed: end === 'M',
      }));
    });
  }

  /** Forgets what it has received. */
  async clear(): Promise<void> {
    await this.#agent.inside(`: > ${this.#file}`);
  }

  async close(): Promise<void> {
    await this.#agent.inside(`pkill -f 'cat >> ${this.#file}'; true`);
  }
}
