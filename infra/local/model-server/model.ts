import { stat } from 'node:fs/promises';
import type { ChatMessage } from '@warmwind/shared/contract/openai';
import {
  type ChatHistoryItem,
  type ChatWrapper,
  getLlama,
  type Llama,
  type LlamaContextSequence,
  LlamaLogLevel,
  type LlamaModel,
  NoBinaryFoundError,
  resolveChatWrapper,
  type Token,
} from 'node-llama-cpp';
import type { Config } from './config.ts';
import { noEngine } from './remedy.ts';

/** A model in memory, with a place for every answer that is generated at the same time. */
export class Model {
  readonly id: string;
  /** When its file was written, epoch seconds. */
  readonly created: number;
  /** Tokens of prompt and answer together. */
  readonly contextSize: number;
  readonly sequences: LlamaContextSequence[];
  readonly #model: LlamaModel;
  readonly #format: ChatWrapper;

  private constructor(fields: {
    id: string;
    created: number;
    contextSize: number;
    sequences: LlamaContextSequence[];
    model: LlamaModel;
  }) {
    this.id = fields.id;
    this.created = fields.created;
    this.contextSize = fields.contextSize;
    this.sequences = fields.sequences;
    this.#model = fields.model;
    this.#format = resolveChatWrapper(fields.model, { warningLogs: false });
  }

  /** @throws Error with the remedy when the model can't be loaded */
  static async load(config: Config): Promise<Model> {
    const { MODEL_ID: id, MODEL_PATH: modelPath, MODEL_PARALLEL: parallel, MODEL_THREADS: threads } = config;
    const file = await stat(modelPath).catch(() => {
      throw new Error(`there is no model at MODEL_PATH=${modelPath}: give the path of a GGUF file`);
    });
    const llama = await engine(threads);
    const model = await llama.loadModel({ modelPath });
    const contextSize = Math.min(model.trainContextSize, config.MODEL_CONTEXT);
    const context = await model.createContext({
      sequences: parallel,
      contextSize,
      threads,
      // On a CPU it costs more than it saves: a tenth of the tokens a second at 2000 tokens of context.
      flashAttention: false,
    });
    const sequences = Array.from({ length: parallel }, () => context.getSequence());
    return new Model({ id, created: Math.floor(file.mtimeMs / 1000), contextSize, sequences, model });
  }

  /**
   * The prompt in the format of the model's own chat template. A control token in a message is plain text.
   */
  prompt(messages: ChatMessage[]): Token[] {
    const { tokens, tokenizer } = this.#model;
    const { contextText } = this.#format.generateContextState({
      chatHistory: [...messages.map(asHistory), { type: 'model', response: [] }],
    });
    const prompt = contextText.tokenize(tokenizer, 'trimLeadingSpace');
    const { bos, shouldPrependBosToken } = tokens;
    return shouldPrependBosToken && bos !== null && prompt[0] !== bos ? [bos, ...prompt] : prompt;
  }
}

function asHistory({ role, content }: ChatMessage): ChatHistoryItem {
  return role === 'assistant' ? { type: 'model', response: [content] } : { type: role, text: content };
}

/** llama.cpp on the CPU, as it comes prebuilt: nothing is downloaded, nothing is built. */
async function engine(threads: number): Promise<Llama> {
  try {
    return await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      maxThreads: threads,
      logLevel: LlamaLogLevel.error,
    });
  } catch (error) {
    throw error instanceof NoBinaryFoundError ? noEngine() : error;
  }
}
