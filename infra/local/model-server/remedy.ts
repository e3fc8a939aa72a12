/** The reason why llama.cpp is missing on this machine, and the remedy. */
export const noEngine = (): Error =>
  new Error(
    `llama.cpp can't be loaded on ${process.platform}-${process.arch}. Remedy: npm install --no-save; where it has no prebuilt package, MODEL_SERVER=off`,
  );
