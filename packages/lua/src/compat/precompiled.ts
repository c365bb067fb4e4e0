/**
 * Precompiled code with a seal, that is, a message authentication code. The interpreter does not
 * check precompiled code: damaged code makes it fail in ways that no script can catch. So only
 * unchanged code from `string.dump` of this process is loaded. Pure, except for the key.
 */
import { createHmac, randomBytes } from "node:crypto";

/** The first bytes of our interpreter's precompiled code. LuaJIT's begins differently. */
const SIGNATURE = "\x1bLua";
const SEAL_BYTES = 16;

/** The key of this process, so that code from elsewhere is not taken for its own. */
const key = randomBytes(32);

/** Returns code in the form that scripts get: the signature, the seal, and the rest. */
export function sealCode(code: string): string {
  return SIGNATURE + sealOf(code) + code.slice(SIGNATURE.length);
}

/** Returns true if the code begins as this interpreter's does; LuaJIT's does not. */
export function hasSignature(sealed: string): boolean {
  return sealed.startsWith(SIGNATURE);
}

/** Returns the code that was sealed; undefined if it is damaged, or from another process. */
export function openCode(sealed: string): string | undefined {
  if (!hasSignature(sealed)) return undefined;
  const end = SIGNATURE.length + SEAL_BYTES;
  const code = SIGNATURE + sealed.slice(end);
  return sealed.slice(SIGNATURE.length, end) === sealOf(code) ? code : undefined;
}

/** @param code has a character for each byte */
function sealOf(code: string): string {
  const hash = createHmac("sha256", key).update(code, "latin1").digest();
  return hash.toString("latin1", 0, SEAL_BYTES);
}
