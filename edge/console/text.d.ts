// Vite extracts the style sheet from the script.
declare module '*.css';

// Imported as text, by the rule in wrangler.jsonc.
declare module '*.text' {
  const text: string;

  // biome-ignore lint/style/noDefaultExport: that is what a text module has
  export default text;
}
