/** The greatest length of a string. No accounting script needs a longer one. */
export const MAX_STRING_BYTES = 64 * 1024 * 1024;

export class StringTooLong extends Error {
  override name = "StringTooLong";

  constructor() {
    super(`not enough memory: a string of more than ${MAX_STRING_BYTES / 1024 / 1024} MiB`);
  }
}
