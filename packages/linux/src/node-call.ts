/** Returns the result of one of Node's functions, or the negated errno of its error. */
export function withoutException(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && "errno" in error && typeof error.errno === "number")
      return error.errno;
    throw error;
  }
}
