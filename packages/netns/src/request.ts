/** The request of `up NAME`, from the command line and the files of that name. */
import { existsSync } from "node:fs";
import { CommandFailure, EX_CANTCREAT, EX_CONFIG, EX_NOINPUT } from "@cm4all/command";
import { fileFailure } from "@cm4all/command/files";
import { MAX_TEXT_FILE, readRegularFile } from "@cm4all/command/regular-file";
import { formatIpAddress, isErrno, type RtnetlinkSocket } from "@cm4all/linux";
import { hasAuto } from "./auto.ts";
import { type Description, hostNameOf } from "./description.ts";
import { checkHost } from "./host-check.ts";
import { descriptionPath, etcResolvConf, scriptPath, TEMPLATE_FILE } from "./paths.ts";
import type { UpRequest } from "./plan.ts";
import type { Pool } from "./pool.ts";
import { resolvConfOwner } from "./resolv-conf.ts";
import { resolverListensAt } from "./resolver.ts";
import { findScript } from "./script.ts";
import { readPools } from "./shared.ts";

export interface UpOptions {
  /** True to set the host's end up. */
  readonly hostUp: boolean;
  /** 0 for no limit. */
  readonly scriptTimeoutMs: number;
}

export const defaultUpOptions: UpOptions = { hostUp: true, scriptTimeoutMs: 90_000 };

export interface PreparedUp {
  /** The request, without networks from the pool. */
  readonly request: UpRequest;
  readonly pools: readonly Pool[];
  /** The reasons why `up` cannot go ahead. */
  readonly problems: readonly CommandFailure[];
  /** What will not work until the administrator changes the host, and why. */
  readonly warnings: readonly string[];
}

/** Reads the files of that name, and finds all mistakes in them. */
export async function prepareUp(
  name: string,
  options: UpOptions,
  host: RtnetlinkSocket,
): Promise<PreparedUp> {
  const problems: CommandFailure[] = [];
  const collect = async <T>(read: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const own = readIfThere(descriptionPath(name));
  const hasScript = existsSync(scriptPath(name));
  const neither = own === undefined && !hasScript;
  const template = neither ? readIfThere(TEMPLATE_FILE) : undefined;
  const description = await collect(() =>
    own === undefined
      ? template === undefined
        ? undefined
        : readDescription(fillTemplate(template, name), TEMPLATE_FILE, name)
      : readDescription(own, descriptionPath(name), name),
  );
  const script = await collect(() => findScript(scriptPath(name)));
  if (neither && template === undefined)
    problems.push(
      new CommandFailure(
        `there is neither a script ${scriptPath(name)} nor a description ${descriptionPath(name)}, nor a template ${TEMPLATE_FILE}`,
        EX_NOINPUT,
      ),
    );
  const request: UpRequest = { name, ...options, description, uplinks: [], script };
  if (description === undefined) return { request, pools: [], problems, warnings: [] };
  problems.push(...conflicts(description, name, options));
  const auto = description.links.find((link) => link.type === "veth" && link.auto !== undefined);
  const pools =
    auto?.type === "veth" && hasAuto(description)
      ? ((await collect(() => readPools(auto.auto ?? ""))) ?? [])
      : [];
  const facts = checkHost(description, name, host);
  problems.push(...facts.problems);
  return {
    request: { ...request, uplinks: facts.uplinks },
    pools,
    problems,
    warnings: facts.warnings,
  };
}

function readIfThere(path: string): string | undefined {
  try {
    return readRegularFile(path, MAX_TEXT_FILE).toString();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw fileFailure(`cannot read ${path}`, error);
  }
}

/**
 * Replaces `%i` in a template with the name, and `%%` with `%`.
 * @throws CommandFailure for a name with characters that are special in a TOML string
 */
function fillTemplate(text: string, name: string): string {
  if (/["'\\]/.test(name))
    throw new CommandFailure(
      `the template ${TEMPLATE_FILE} takes no name with a quote or a backslash in it`,
      EX_CONFIG,
    );
  return text.replaceAll(/%([%i])/g, (_, what) => (what === "i" ? name : "%"));
}

/** Reads a description. The TOML parser is loaded only here, because it takes start-up time. */
async function readDescription(text: string, file: string, name: string): Promise<Description> {
  const describe = await import("./describe.ts");
  try {
    return describe.parseDescription(text, file, name);
  } catch (error) {
    if (error instanceof describe.DescriptionError)
      throw new CommandFailure(error.message, EX_CONFIG, { cause: error });
    throw error;
  }
}

/** Returns contradictions between the description and the command line or existing files. */
function conflicts(
  { links, dns }: Description,
  name: string,
  { hostUp }: UpOptions,
): CommandFailure[] {
  const found: CommandFailure[] = [];
  for (const link of links) {
    if (link.type !== "veth") continue;
    const [route] = link.outside.routes;
    if (route !== undefined && !hostUp)
      found.push(
        new CommandFailure(
          `${route.origin}: a route needs a link that is up, but --no-host-up is given`,
          EX_CONFIG,
        ),
      );
  }
  if (dns !== undefined && resolvConfOwner(name) === "somebody else")
    found.push(
      new CommandFailure(
        `${dns.origin}: ${etcResolvConf(name)} exists already; another program made it`,
        EX_CANTCREAT,
      ),
    );
  return found;
}

/** Returns the names of the links to be made on the host. */
export function hostNames({ name, description }: UpRequest): string[] {
  if (description === undefined) return [name];
  return description.links.flatMap((link) =>
    link.type === "veth"
      ? [hostNameOf(link, name), ...(link.outside.vlans ?? []).map((vlan) => vlan.name)]
      : [],
  );
}

/**
 * Replaces `servers = "auto"` with the addresses of the host's resolver.
 * @throws CommandFailure if no resolver listens on the host's end of a pair
 */
export function findResolver(description: Description): Description {
  const { dns } = description;
  if (dns?.servers !== "auto") return description;
  const addresses = description.links.flatMap((link) =>
    link.type === "veth" ? link.outside.addresses.map(({ value }) => value.address) : [],
  );
  const servers = addresses.filter(({ bytes }) => resolverListensAt(bytes)).map(formatIpAddress);
  if (servers.length === 0)
    throw new CommandFailure(
      `${dns.origin}: no resolver listens on the host's end of the pair (${addresses.map(formatIpAddress).join(", ") || "it has no address"}); ` +
        "127.0.0.53 cannot be reached from inside: list servers, or let systemd-resolved listen there (DNSStubListenerExtra= in resolved.conf)",
      EX_CONFIG,
    );
  return { ...description, dns: { ...dns, servers } };
}
