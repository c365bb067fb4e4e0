/**
 * Precompiled code with a seal. The interpreter trusts code that it loads: damaged code makes it
 * fail in ways that no script can catch. So only what `string.dump` has given here is loaded, as
 * it was given. Pure, but for the key.
 */
import { createHmac, randomBytes } from "node:crypto";

/** How the interpreter's own code begins. LuaJIT's begins in another way. */
const SIGNATURE = "\x1bLua";
const SEAL_BYTES = 16;

/** Of this process, so that nobody else's code passes for its own. */
const key = randomBytes(32);

/** Returns code as scripts get it: the signature, the seal, and the rest. */
export function sealCode(code: string): string {
  return SIGNATURE + sealOf(code) + code.slice(SIGNATURE.length);
}

/** Whether it is code of this kind of interpreter, and not LuaJIT's. */
export function hasSignature(sealed: string): boolean {
  return sealed.startsWith(SIGNATURE);
}

/** Returns the code that was sealed; undefined if it is damaged, or not from here. */
export function openCode(sealed: string): string | undefined {
  if (!hasSignature(sealed)) return undefined;
  const end = SIGNATURE.length + SEAL_BYTES;
  const code = SIGNATURE + sealed.slice(end);
  return sealed.slice(SIGNATURE.length, end) === sealOf(code) ? code : undefined;
}

/** @param code a character for each byte */
function sealOf(code: string): string {
  const hash = createHmac("sha256", key).update(code, "latin1").digest();
  return hash.toString("latin1", 0, SEAL_BYTES);
}
