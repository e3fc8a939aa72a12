/** Milliseconds as Redis keeps them → ISO 8601. */
export const iso = (ms: string | number | undefined): string => new Date(Number(ms ?? 0)).toISOString();
