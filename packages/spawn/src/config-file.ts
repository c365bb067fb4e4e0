/** The configuration file, and whether the configuration in force is up to date with it. */
import { statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { errorText } from "@cm4all/linux";
import { type Config, DEFAULT_CONFIG_FILE, keysForRestart, readConfig } from "./config.ts";

/**
 * `current`: the same as the file; `changed`: the file has changed, and there was no reload
 * since; `refused`: the latest reload has failed; `restart`: a part of it is applied only by a
 * restart.
 */
export type ConfigurationState = "current" | "changed" | "refused" | "restart";

/** The state of the configuration in force, compared with its file. */
export interface ConfigurationStatus {
  readonly file: string;
  /** The reason why the file cannot be put in force; undefined if it can be, or is. */
  readonly problem?: string | undefined;
  /** The keys that have changed since the start and that only a restart applies. */
  readonly waitsForRestart: readonly string[];
}

/** The result of the latest look at the file. */
interface Look {
  /** Identifies the file and its last change. */
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
   * Reads the file for the start.
   * @param file undefined for the default file, which may be missing
   * @param override applied to the configuration that was read, because the command line has
   *   precedence
   * @throws CommandFailure with the file and line of a mistake
   */
  constructor(file: string | undefined, override: (config: Config) => Config) {
    this.#file = file;
    this.#override = override;
    const version = this.#version();
    this.#started = this.#inForce = this.#read();
    this.#look = { version, isOther: false, problem: undefined };
  }

  /** Returns the configuration with which the daemon was started. */
  get started(): Config {
    return this.#started;
  }

  get failedReloads(): number {
    return this.#failedReloads;
  }

  /**
   * Reads the file again and puts it in force.
   * @throws CommandFailure with the file and line of a mistake; the previous configuration stays
   *   in force
   */
  reload(): Config {
    // Before the file is read, so that the next look sees a change in between.
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

  /** Looks at the file, and reads it if it has changed since the last look. */
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

  /** Returns the keys of the configuration in force that only a restart applies. */
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
