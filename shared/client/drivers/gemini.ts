import type {
  Content,
  Environment,
  FunctionCall,
  GenerateContentParameters,
  GoogleGenAI,
  Part,
} from '@google/genai';
import type { ContainerClient } from '../container.ts';
import { WarmwindError } from '../errors.ts';
import type { Picture } from '../picture.ts';
import { type DriverOptions, ModelScreen } from './model-screen.ts';

/** Options of {@link computerTurns}. */
export type ComputerTurnsOptions = DriverOptions & {
  /** The client of the model's API. */
  genai: GoogleGenAI;
  /** The desktop that the model uses. */
  container: ContainerClient;
  /** The first request. The `computerUse` tool is added to its tools unless it has one. */
  request: Omit<GenerateContentParameters, 'contents'> & { contents: Content[] };
  /** Whether responses are read as streams. Default: false. */
  stream?: boolean;
  /**
   * Decides whether a call that requires confirmation is carried out, for instance by asking the owner. Default: the
   * loop ends with a {@link ConfirmationRequiredError}.
   */
  onConfirmation?: (call: FunctionCall, explanation: string) => boolean | Promise<boolean>;
  /** Answers a call of a function of the caller; `undefined` for a call of the desktop. */
  onOtherCall?: (
    call: FunctionCall,
  ) => Record<string, unknown> | undefined | Promise<Record<string, unknown> | undefined>;
  /** The most requests. Default: 100. */
  maxTurns?: number;
  /** Ends the loop, the request and the actions in progress. */
  signal?: AbortSignal;
};

/** The model proposes an action that requires confirmation, and the owner did not permit it. */
export class ConfirmationRequiredError extends WarmwindError {
  override name = 'ConfirmationRequiredError';
  readonly code = 'confirmation_required';
  /** The call that was not carried out. */
  readonly call: FunctionCall;

  constructor(call: FunctionCall, explanation: string) {
    super(
      `${call.name} needs the owner's permission (${explanation}). Answer onConfirmation with true to permit it.`,
    );
    this.call = call;
  }
}

/**
 * Lets a model of Gemini use a desktop by the `computerUse` tool, until it answers without a call. Points are measured
 * on a grid from 0 to 1000. Each call is answered with a picture. When one fails, those after it in the turn are not
 * carried out, and the model is sent the reason.
 *
 * @returns an iterator over the model's contents; the last one is the answer
 * @throws ConfirmationRequiredError when the owner does not permit a call
 * @throws WarmwindError when the desktop can't be reached
 * @throws the error of the SDK when a request fails, or the reason of the signal when it aborts
 *
 * @example
 * const contents = [{ role: 'user', parts: [{ text: 'Open the editor.' }] }];
 * for await (const { parts } of computerTurns({ genai, container: desktop, request: { model, contents } }))
 *   console.log(parts?.map(({ text }) => text ?? '').join(''));
 */
export async function* computerTurns(options: ComputerTurnsOptions): AsyncGenerator<Content, void> {
  const { request, maxTurns = 100, signal } = options;
  const screen = new ModelScreen(options.container, options);
  const config = { ...request.config, tools: toolsOf(request.config?.tools), abortSignal: signal };
  const contents = [...request.contents];
  for (let turn = 0; turn < maxTurns; turn++) {
    signal?.throwIfAborted();
    const content = await generate(options, { ...request, contents, config });
    yield content;
    const calls = content.parts?.flatMap(({ functionCall }) => functionCall ?? []) ?? [];
    if (calls.length === 0) return;
    contents.push(content, { role: 'user', parts: await answer(calls, screen, options) });
  }
}

type Tools = NonNullable<GenerateContentParameters['config']>['tools'];

/** Adds the tool unless the caller has configured it. */
function toolsOf(tools: Tools = []): NonNullable<Tools> {
  if (tools.some((tool) => 'computerUse' in tool)) return tools;
  return [{ computerUse: { environment: 'ENVIRONMENT_DESKTOP' as Environment } }, ...tools];
}

async function generate(
  { genai, stream }: ComputerTurnsOptions,
  request: GenerateContentParameters,
): Promise<Content> {
  const parts: Part[] = [];
  const responses = stream
    ? await genai.models.generateContentStream(request)
    : [await genai.models.generateContent(request)];
  for await (const { candidates } of responses) parts.push(...(candidates?.[0]?.content?.parts ?? []));
  return { role: 'model', parts };
}

async function answer(
  calls: readonly FunctionCall[],
  screen: ModelScreen,
  options: ComputerTurnsOptions,
): Promise<Part[]> {
  const declared = declaredNames(options.request.config?.tools);
  const parts: Part[] = [];
  let failed = false;
  for (const call of calls) {
    let response: Record<string, unknown> = {
      error: 'Not carried out: an earlier call of this turn failed.',
    };
    let picture: Picture | undefined;
    if (!failed && declared.has(call.name)) {
      response = (await options.onOtherCall?.(call)) ?? { error: 'This function is not available.' };
    } else if (!failed) {
      const acknowledged = await confirmed(call, options);
      const attempt = await screen.tryActions([call], {
        dialect: 'gemini',
        space: 'grid1000',
        signal: options.signal,
      });
      failed = attempt.failure !== undefined;
      picture = attempt.picture;
      response = { ...(failed ? { error: attempt.failure } : { output: 'done' }), ...acknowledged };
    }
    parts.push({ functionResponse: { ...nameOf(call), response, ...imagesOf(picture) } });
  }
  return parts;
}

/**
 * @returns the acknowledgement of a call that requires confirmation
 * @throws ConfirmationRequiredError when the owner does not permit it
 */
async function confirmed(
  call: FunctionCall,
  { onConfirmation }: ComputerTurnsOptions,
): Promise<{ safety_acknowledgement?: 'true' }> {
  const decision = call.args?.safety_decision as { decision?: string; explanation?: string } | undefined;
  // A decision that this version does not know is treated as the strictest one.
  if (!decision?.decision || decision.decision === 'regular' || decision.decision === 'allowed') return {};
  const explanation = decision.explanation ?? decision.decision;
  if (!(await onConfirmation?.(call, explanation))) throw new ConfirmationRequiredError(call, explanation);
  return { safety_acknowledgement: 'true' };
}

const declaredNames = (tools: Tools = []): Set<string | undefined> =>
  new Set(
    tools.flatMap((tool) =>
      'functionDeclarations' in tool ? (tool.functionDeclarations ?? []).map(({ name }) => name) : [],
    ),
  );

const nameOf = ({ id, name }: FunctionCall) => ({ ...(id ? { id } : {}), ...(name ? { name } : {}) });

const imagesOf = (picture: Picture | undefined) =>
  picture ? { parts: [{ inlineData: { mimeType: picture.mediaType, data: picture.base64 } }] } : {};
