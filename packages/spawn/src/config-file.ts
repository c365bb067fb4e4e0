/** The file of the configuration, and how the configuration in force stands to it. */
import { statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { errorText } from "@cm4all/linux";
import { type Config, DEFAULT_CONFIG_FILE, keysForRestart, readConfig } from "./config.ts";

/**
 * `current`: as the file; `changed`: the file says something else by now, and nobody has had it
 * read; `refused`: the latest reload has failed; `restart`: only a restart applies a part of it.
 */
export type ConfigurationState = "current" | "changed" | "refused" | "restart";

/** How the configuration in force stands to its file. */
export interface ConfigurationStatus {
  readonly file: string;
  /** Why the file cannot be put in force; undefined if it can, or is. */
  readonly problem?: string | undefined;
  /** Keys that only a restart applies, and that have changed since the start. */
  readonly waitsForRestart: readonly string[];
}

/** What was found in the file when it was looked at last. */
interface Look {
  /** Which file that was, and of when. */
  readonly version: string;
  readonly isOther: boolean;
  readonly problem: string | undefined;
}

export class ConfigFile {
  readonly #file: string | undefined;
  readonly #override: (config: Config) => Config;
  readonly #started: Config;
  #inForce: Config;
  #look: Look;
  #failedReloads = 0;
  #isRefused = false;

  /**
   * Reads it for the start.
   * @param file undefined for the default file, which may be missing
   * @param override applied to what is read: the command line wins
   * @throws CommandFailure with the file and line of a mistake
   */
  constructor(file: string | undefined, override: (config: Config) => Config) {
    this.#file = file;
    this.#override = override;
    const version = this.#version();
    this.#started = this.#inForce = this.#read();
    this.#look = { version, isOther: false, problem: undefined };
  }

  /** With which the daemon was started. */
  get started(): Config {
    return this.#started;
  }

  get failedReloads(): number {
    return this.#failedReloads;
  }

  /**
   * Reads it again, to be put in force.
   * @throws CommandFailure with the file and line of a mistake; the one before stays in force
   */
  reload(): Config {
    // Before it is read: what comes in between is seen by the next look.
    const version = this.#version();
    try {
      this.#inForce = this.#read();
      this.#isRefused = false;
      this.#look = { version, isOther: false, problem: undefined };
      return this.#inForce;
    } catch (error) {
      this.#isRefused = true;
      this.#failedReloads++;
      this.#look = { version, isOther: true, problem: errorText(error) };
      throw error;
    }
  }

  /** Looks at the file, and reads it if it is another one than at the last look. */
  measure(): { readonly state: ConfigurationState; readonly status: ConfigurationStatus } {
    const version = this.#version();
    if (version !== this.#look.version) {
      this.#isRefused = false;
      this.#look = { version, ...this.#compare() };
    }
    const { isOther, problem } = this.#look;
    const waitsForRestart = this.waitsForRestart;
    const state = waitsForRestart.length > 0 ? "restart" : "current";
    return {
      state: this.#isRefused ? "refused" : isOther ? "changed" : state,
      status: { file: this.#file ?? DEFAULT_CONFIG_FILE, problem, waitsForRestart },
    };
  }

  /** Keys of the configuration in force that only a restart applies. */
  get waitsForRestart(): readonly string[] {
    return keysForRestart(this.#started, this.#inForce);
  }

  #read(): Config {
    return this.#override(readConfig(this.#file));
  }

  #compare(): Omit<Look, "version"> {
    try {
      return { isOther: !isDeepStrictEqual(this.#read(), this.#inForce), problem: undefined };
    } catch (error) {
      return { isOther: true, problem: errorText(error) };
    }
  }

  #version(): string {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.#file ?? DEFAULT_CONFIG_FILE, {
        bigint: true,
      });
      return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
    } catch (error) {
      return errorText(error);
    }
  }
}
