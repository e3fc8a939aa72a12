/** Why there is no llama.cpp on this machine, with what to do. */
export const noEngine = (): Error =>
  new Error(
    `llama.cpp can't be loaded on ${process.platform}-${process.arch}. Remedy: npm install --no-save; where it has no prebuilt package, MODEL_SERVER=off`,
  );
