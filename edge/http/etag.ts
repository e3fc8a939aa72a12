/** Whether an `If-None-Match` matches this version: `*`, or a list with it, strong or weak. */
export function isKnownVersion(ifNoneMatch: string | undefined, etag: string): boolean {
  const known = (ifNoneMatch ?? '').match(/\*|(?:W\/)?"[^"]*"/g) ?? [];
  return known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag);
}

/** Computes a strong validator of these bytes. */
export async function etagOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return `"${new Uint8Array(digest).toHex().slice(0, 32)}"`;
}
