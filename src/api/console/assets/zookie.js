// The index of the log in a zookie. For show only: what is sent back is always the token itself.
//
// version 1 (u8) | lineage (u64) | shard (u16) | index (u64) | crc32c (u32), big-endian, in base64url without padding.

const BYTES = 23;

/** The index as text, or `undefined` for a token of another form. */
export function indexOf(token) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(token.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
  if (bytes.length !== BYTES || bytes[0] !== 1) return undefined;
  return new DataView(bytes.buffer).getBigUint64(11).toString();
}
