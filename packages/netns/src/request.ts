/** What `up NAME` is asked for, from the command line and the files of that name. */
import { existsSync, readFileSync } from "node:fs";
import { CommandFailure, EX_CANTCREAT, EX_CONFIG, EX_NOINPUT } from "@cm4all/command";
import { isErrno } from "@cm4all/linux";
import { descriptionPath, etcResolvConf, scriptPath } from "./paths.ts";
import type { Description, UpRequest } from "./plan.ts";
import { resolvConfOwner } from "./resolv-conf.ts";
import { findScript } from "./script.ts";

export interface UpOptions {
  /** Whether to set the host's end up. */
  readonly hostUp: boolean;
  /** 0 for as long as it takes. */
  readonly scriptTimeoutMs: number;
}

export const defaultUpOptions: UpOptions = { hostUp: true, scriptTimeoutMs: 90_000 };

export interface PreparedUp {
  readonly request: UpRequest;
  /** Why it cannot be done. */
  readonly problems: readonly CommandFailure[];
}

/** Reads the files of that name, and finds everything that is wrong in them. */
export async function prepareUp(name: string, options: UpOptions): Promise<PreparedUp> {
  const problems: CommandFailure[] = [];
  const collect = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const text = readIfThere(descriptionPath(name));
  let description: Description | undefined;
  if (text !== undefined) {
    // Loaded only here: the TOML parser costs start-up time.
    const describe = await import("./describe.ts");
    description = collect(() => readDescription(describe, text, name));
    if (description !== undefined)
      problems.push(...conflicts(describe, description, name, options));
  }
  const script = collect(() => findScript(scriptPath(name)));
  if (text === undefined && script === undefined && problems.length === 0)
    problems.push(
      new CommandFailure(
        `there is neither a script ${scriptPath(name)} nor a description ${descriptionPath(name)}`,
        EX_NOINPUT,
      ),
    );
  return { request: { name, ...options, description, script }, problems };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

type Describe = typeof import("./describe.ts");

function readDescription(describe: Describe, text: string, name: string): Description {
  try {
    return describe.parseDescription(text, descriptionPath(name));
  } catch (error) {
    if (error instanceof describe.DescriptionError)
      throw new CommandFailure(error.message, EX_CONFIG, { cause: error });
    throw error;
  }
}

/** Where the description contradicts the machine or the command line. */
function conflicts(
  { hostSysctlPath }: Describe,
  description: Description,
  name: string,
  { hostUp }: UpOptions,
): CommandFailure[] {
  const found: CommandFailure[] = [];
  for (const { value, origin } of description.sysctl)
    if (!existsSync(hostSysctlPath(value.key)))
      found.push(
        new CommandFailure(`${origin}: this kernel has no setting ${value.key}`, EX_CONFIG),
      );
  const [route] = description.outside.routes;
  if (route !== undefined && !hostUp)
    found.push(
      new CommandFailure(
        `${route.origin}: a route needs a link that is up, against --no-host-up`,
        EX_CONFIG,
      ),
    );
  const { resolvConf } = description;
  if (resolvConf !== undefined && resolvConfOwner(name) === "somebody else")
    found.push(
      new CommandFailure(
        `${resolvConf.origin}: ${etcResolvConf(name)} exists already, made by somebody else`,
        EX_CANTCREAT,
      ),
    );
  return found;
}
