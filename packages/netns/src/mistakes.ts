/** Mistakes in a description, collected, so that one look is enough to mend all of them. */
import { ConfigError } from "@cm4all/command/toml";

/** Mistakes in a description, one a line, each starting with `FILE:LINE: `. */
export class DescriptionError extends Error {
  override readonly name = "DescriptionError";

  constructor(mistakes: readonly ConfigError[]) {
    const sorted = [...mistakes].sort((a, b) => a.line - b.line);
    super(sorted.map((mistake) => mistake.message).join("\n"));
  }
}

/** Gives undefined where the value is of another type than `read` takes. */
export function ifOfType<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** All mistakes of a file, which are told together. */
export class Mistakes {
  readonly found: ConfigError[] = [];

  /** Gives undefined where `read` finds a mistake. */
  collect<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.found.push(error);
      return undefined;
    }
  }

  /** @param origin `FILE:LINE` */
  add(origin: string, problem: string): void {
    const colon = origin.lastIndexOf(":");
    const line = Number(origin.slice(colon + 1));
    this.found.push(new ConfigError(origin.slice(0, colon), line, problem));
  }
}
