// Imported as text, by the rule in wrangler.jsonc.
declare module 'swagger-ui-dist/swagger-ui-bundle.js' {
  const text: string;

  // biome-ignore lint/style/noDefaultExport: that is what a text module has
  export default text;
}

declare module 'swagger-ui-dist/swagger-ui.css' {
  const text: string;

  // biome-ignore lint/style/noDefaultExport: that is what a text module has
  export default text;
}
