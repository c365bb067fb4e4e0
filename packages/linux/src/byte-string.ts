/**
 * Strings of bytes. Names and paths of the kernel, and strings of Lua, may contain any bytes and
 * need not be UTF-8. Text is for people, and for Node's own calls, which encode it as UTF-8. The
 * two look alike but must not be mixed, so they have different types.
 */

declare const brand: unique symbol;

/**
 * Bytes, held as a string with one character from 0 to 255 for each byte ("latin1"). Such strings
 * can be compared with `===`, can be keys of a `Map`, and can be sent to other threads and
 * written as JSON.
 *
 * At run time it is a string. Its type is a symbol because that is the only primitive type that
 * TypeScript refuses in `+`, in a template and in place of a string.
 */
export type ByteString = symbol & { readonly [brand]: "one character for each byte" };

/** Converts a string with one character from 0 to 255 for each byte. */
export function bytesOfLatin1(characters: string): ByteString {
  return characters as unknown as ByteString;
}

/** Returns one character from 0 to 255 for each byte, for code that examines the bytes. */
export function latin1Of(bytes: ByteString): string {
  return bytes as unknown as string;
}

/** Returns a copy of the bytes of a buffer. */
export function bytesOf(buffer: Uint8Array): ByteString {
  const { byteLength, byteOffset } = buffer;
  return bytesOfLatin1(Buffer.from(buffer.buffer, byteOffset, byteLength).toString("latin1"));
}

/** Returns a new buffer of the bytes. */
export function bufferOf(bytes: ByteString): Buffer {
  return Buffer.from(latin1Of(bytes), "latin1");
}

/** Returns the UTF-8 encoding of text. */
export function bytesOfText(text: string): ByteString {
  return bytesOf(Buffer.from(text));
}

/** Returns the bytes as text for people: anything that is not UTF-8 becomes U+FFFD. */
export function textOf(bytes: ByteString): string {
  return bufferOf(bytes).toString();
}

/** Returns the bytes of all `parts`, one after the other. */
export function concatBytes(...parts: readonly ByteString[]): ByteString {
  return bytesOfLatin1((parts as readonly unknown[] as string[]).join(""));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
const ASCII = /^[\u0000-\u007f]*$/;

/** Returns the bytes in a form that Node's file system functions accept. */
export function nodePathOf(bytes: ByteString): string | Buffer {
  const characters = latin1Of(bytes);
  // A string costs Node less than a buffer, and if it is ASCII it has the same bytes.
  return ASCII.test(characters) ? characters : bufferOf(bytes);
}

/** Returns the path of `name` in the directory `directory`. */
export function joinPath(directory: ByteString, name: ByteString): ByteString {
  return bytesOfLatin1(`${latin1Of(directory)}/${latin1Of(name)}`);
}

/** Splits a path at its last `/`. Without a `/`, the whole path is the name. */
export function splitPath(path: ByteString): { directory: ByteString; name: ByteString } {
  const characters = latin1Of(path);
  const slash = characters.lastIndexOf("/");
  return {
    directory: bytesOfLatin1(characters.slice(0, Math.max(0, slash))),
    name: bytesOfLatin1(characters.slice(slash + 1)),
  };
}
