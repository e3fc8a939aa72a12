/** The states of a process as its beats find it. */
const STATES = ['alive', 'unsure', 'dead'] as const;
export type LivenessState = (typeof STATES)[number];

/** Milliseconds of a clock that all threads of a process share and that nothing sets back. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/** What the thread that beats and the main thread know of each other, without a message. */
export class SharedState {
  readonly buffer: SharedArrayBuffer;
  readonly #flags: Int32Array;
  readonly #ticked: BigInt64Array;

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer;
    this.#flags = new Int32Array(buffer, 0, 2);
    this.#ticked = new BigInt64Array(buffer, 8, 1);
  }

  get state(): LivenessState {
    return STATES[Atomics.load(this.#flags, 0)] ?? 'unsure';
  }

  set state(state: LivenessState) {
    Atomics.store(this.#flags, 0, STATES.indexOf(state));
  }

  /** Whether this process would recover a dead one. */
  get watches(): boolean {
    return Atomics.load(this.#flags, 1) === 1;
  }

  set watches(watches: boolean) {
    Atomics.store(this.#flags, 1, watches ? 1 : 0);
  }

  /** When the thread last ran, in `monotonicMs`; 0 while there is none. */
  get tickedAt(): number {
    return Number(Atomics.load(this.#ticked, 0));
  }

  set tickedAt(at: number) {
    Atomics.store(this.#ticked, 0, BigInt(at));
  }
}
