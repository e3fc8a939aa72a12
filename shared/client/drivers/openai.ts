import type OpenAI from 'openai';
import type {
  Response,
  ResponseComputerToolCall,
  ResponseCreateParamsNonStreaming,
  ResponseInputItem,
  ResponseOutputItem,
} from 'openai/resources/responses/responses';
import type { ContainerClient } from '../container.ts';
import { WarmwindError } from '../errors.ts';
import type { Picture } from '../picture.ts';
import { type DriverOptions, ModelScreen } from './model-screen.ts';

type SafetyCheck = ResponseComputerToolCall.PendingSafetyCheck;

/** Options of {@link computerTurns}. */
export type ComputerTurnsOptions = DriverOptions & {
  /** The client of the model's API. */
  openai: OpenAI;
  /** The desktop that the model uses. */
  container: ContainerClient;
  /** The first request. The `computer` tool is added to its tools. */
  request: ResponseCreateParamsNonStreaming;
  /** Whether responses are read as streams. Default: false. */
  stream?: boolean;
  /**
   * Decides whether a call with pending safety checks is carried out, for instance by asking the owner. Default: the
   * loop ends with a {@link SafetyCheckError}.
   */
  onSafetyChecks?: (
    checks: readonly SafetyCheck[],
    call: ResponseComputerToolCall,
  ) => boolean | Promise<boolean>;
  /** Answers the calls of other tools. Without it, a response with such calls is the last. */
  onOtherCalls?: (calls: readonly ResponseOutputItem[]) => ResponseInputItem[] | Promise<ResponseInputItem[]>;
  /** The most requests. Default: 100. */
  maxTurns?: number;
  /** Ends the loop, the request and the actions in progress. */
  signal?: AbortSignal;
};

/** The model proposes actions with pending safety checks, and the owner did not permit them. None was carried out. */
export class SafetyCheckError extends WarmwindError {
  override name = 'SafetyCheckError';
  readonly code = 'safety_check';
  /** The checks that were not acknowledged. */
  readonly checks: readonly SafetyCheck[];

  constructor(checks: readonly SafetyCheck[]) {
    const reasons = checks.map(({ id, code, message }) => message ?? code ?? id).join('; ');
    super(
      `The actions need the owner's permission (${reasons}). Answer onSafetyChecks with true to permit them.`,
    );
    this.checks = checks;
  }
}

/**
 * Lets a model of OpenAI use a desktop by the `computer` tool, until it answers without a call. The actions of a call
 * are one call of this platform, and are answered with one picture. When an action fails, the rest of the response is
 * not carried out, and the model is sent the reason with the picture.
 *
 * @returns an iterator over the responses; the last one is the answer
 * @throws SafetyCheckError when the owner does not permit an action
 * @throws WarmwindError when the desktop can't be reached
 * @throws the error of the SDK when a request fails, or the reason of the signal when it aborts
 *
 * @example
 * for await (const response of computerTurns({ openai, container: desktop, request: { model, input: 'Open the editor.' } }))
 *   console.log(response.output_text);
 */
export async function* computerTurns(options: ComputerTurnsOptions): AsyncGenerator<Response, void> {
  const { request, maxTurns = 100, onOtherCalls, signal } = options;
  const screen = new ModelScreen(options.container, options);
  const tools = [{ type: 'computer' as const }, ...(request.tools ?? [])];
  let next: Partial<ResponseCreateParamsNonStreaming> = {};
  for (let turn = 0; turn < maxTurns; turn++) {
    signal?.throwIfAborted();
    const response = await create(options, { ...request, ...next, tools });
    yield response;
    const calls = response.output.filter((item) => item.type === 'computer_call');
    const others = response.output.filter(needsAnswer);
    if (calls.length + others.length === 0 || (others.length > 0 && !onOtherCalls)) return;
    const input = await carryOut(calls, screen, options);
    if (others.length > 0) input.push(...((await onOtherCalls?.(others)) ?? []));
    next = { input, previous_response_id: response.id };
  }
}

/** Is it a call of another tool of the caller? */
const needsAnswer = ({ type }: ResponseOutputItem): boolean =>
  type === 'function_call' || type === 'custom_tool_call';

async function create(
  { openai, stream, signal }: ComputerTurnsOptions,
  request: ResponseCreateParamsNonStreaming,
): Promise<Response> {
  if (!stream) return openai.responses.create(request, { signal });
  const events = openai.responses.stream({ ...request, stream: true }, { signal });
  return events.finalResponse();
}

async function carryOut(
  calls: readonly ResponseComputerToolCall[],
  screen: ModelScreen,
  { onSafetyChecks, signal }: ComputerTurnsOptions,
): Promise<ResponseInputItem[]> {
  const outputs: ResponseInputItem[] = [];
  let failure: string | undefined;
  for (const call of calls) {
    const checks = call.pending_safety_checks ?? [];
    if (checks.length > 0 && !(await onSafetyChecks?.(checks, call))) throw new SafetyCheckError(checks);
    const actions = call.actions ?? (call.action ? [call.action] : []);
    let picture: Picture | undefined;
    if (failure === undefined && actions.length > 0) {
      const attempt = await screen.tryActions(actions, { dialect: 'openai', signal });
      ({ picture, failure } = attempt);
    }
    picture ??= await screen.look(signal);
    outputs.push(outputOf(call, picture));
  }
  if (failure !== undefined) outputs.push({ role: 'user', content: failure });
  return outputs;
}

const outputOf = (
  { call_id, pending_safety_checks: checks }: ResponseComputerToolCall,
  { mediaType, base64 }: Picture,
): ResponseInputItem => ({
  type: 'computer_call_output',
  call_id,
  output: { type: 'computer_screenshot', image_url: `data:${mediaType};base64,${base64}` },
  ...(checks?.length ? { acknowledged_safety_checks: checks } : {}),
});
