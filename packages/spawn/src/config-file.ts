/** Reads the configuration file, and compares it with the configuration in force. */
import { statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { errorText } from "@cm4all/linux";
import { type Config, DEFAULT_CONFIG_FILE, keysForRestart, readConfig } from "./config.ts";

/**
 * `current`: the configuration in force is that of the file. `changed`: the file now differs from
 * the configuration in force, and has not been reloaded. `refused`: the latest reload has failed,
 * and the file has not been changed since then. `restart`: the file was reloaded, but some of its
 * changes take effect only after a restart.
 */
export type ConfigurationState = "current" | "changed" | "refused" | "restart";

/** The configuration file, compared with the configuration in force. */
export interface ConfigurationStatus {
  readonly file: string;
  /** Why the file cannot be applied; undefined if it can be applied or has been applied. */
  readonly problem?: string | undefined;
  /** Keys that have changed since the daemon was started, and that only a restart applies. */
  readonly waitsForRestart: readonly string[];
}

/** The result of the last look at the file. */
interface Look {
  /** Identifies the file and its content, by inode, size and times. */
  readonly version: string;
  /** True if the file differs from the configuration in force, or cannot be applied. */
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
   * Reads the file when the daemon starts.
   * @param file undefined for the default file, which may be missing
   * @param override called for each configuration that is read; returns it with the values of the
   *   command line, which take precedence
   * @throws CommandFailure as `readConfig` does
   */
  constructor(file: string | undefined, override: (config: Config) => Config) {
    this.#file = file;
    this.#override = override;
    const version = this.#version();
    this.#started = this.#inForce = this.#read();
    this.#look = { version, isOther: false, problem: undefined };
  }

  /** The configuration with which the daemon was started. */
  get started(): Config {
    return this.#started;
  }

  get failedReloads(): number {
    return this.#failedReloads;
  }

  /**
   * Reads the file again. The result becomes the configuration in force; the caller applies it.
   * @throws CommandFailure as `readConfig` does; the old configuration then stays in force
   */
  reload(): Config {
    // Determined before the file is read, so that `measure` notices a change that happens
    // meanwhile.
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

  /** Compares the configuration in force with the file, which is read only if it has changed. */
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

  /**
   * Keys of the configuration in force that have changed since the daemon was started, and that
   * only a restart applies.
   */
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
