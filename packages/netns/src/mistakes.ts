/** Collects the mistakes in a file, so that they are all shown together. */
import { ConfigError } from "@cm4all/command/toml";

/**
 * Thrown for mistakes in a description or in the configuration. The message has a line for each
 * mistake, which starts with `FILE:LINE: `.
 */
export class DescriptionError extends Error {
  override readonly name = "DescriptionError";

  constructor(mistakes: readonly ConfigError[]) {
    const sorted = [...mistakes].sort((a, b) => a.line - b.line);
    super(sorted.map((mistake) => mistake.message).join("\n"));
  }
}

/** Calls `read`; returns undefined if the value is not of the type that `read` expects. */
export function ifOfType<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** All mistakes in a file, which are reported together. */
export class Mistakes {
  readonly found: ConfigError[] = [];

  /** Calls `read`; if it throws a ConfigError, notes the mistake and returns undefined. */
  collect<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.found.push(error);
      return undefined;
    }
  }

  /** Notes a mistake. @param origin `FILE:LINE` */
  add(origin: string, problem: string): void {
    const colon = origin.lastIndexOf(":");
    const line = Number(origin.slice(colon + 1));
    this.found.push(new ConfigError(origin.slice(0, colon), line, problem));
  }
}
