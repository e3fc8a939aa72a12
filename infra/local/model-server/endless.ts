import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DESK_TINY } from './config.ts';

const NAME = 'desk-endless.gguf';
/** llama.cpp's id for no token. */
const NO_TOKEN = 0xffffffff;

/**
 * Writes desk-tiny under another name, with a longer context and without an end: it generates until it is
 * stopped. For tests and benchmarks that need a long answer.
 * @returns the file's path
 */
export function writeEndlessModel(dir: string, contextSize: number): string {
  const file = readFileSync(DESK_TINY);
  writeU32(file, 'llama.context_length', contextSize);
  writeU32(file, 'tokenizer.ggml.eos_token_id', NO_TOKEN);
  // llama.cpp ends an answer at any token of this name, although the file declares another.
  const end = file.indexOf('<|endoftext|>');
  file.write('<|goes--on|>>', end, 'latin1');
  const path = join(dir, NAME);
  writeFileSync(path, file);
  return path;
}

/** A key of a GGUF is followed by its type (4: u32) and its value. */
function writeU32(file: Buffer, key: string, value: number): void {
  const type = file.indexOf(key) + key.length;
  if (file.readUInt32LE(type) !== 4) throw new Error(`${key} is no u32`);
  file.writeUInt32LE(value, type + 4);
}
