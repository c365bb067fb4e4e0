/**
 * Defines which cgroups are managed: all those below a scope, at any depth, but not the scope
 * itself. A scope is a path below the cgroup2 root whose components may be globs. Pure.
 */
import { type ByteString, bytesOfText, errorText, latin1Of } from "@cm4all/linux";

/** The default scopes, which are those of the original daemon in its newer and older releases. */
export const DEFAULT_SCOPES: readonly string[] = [
  "system.slice/system-cm4all.slice/bp-spawn.scope",
  "system.slice/system-cm4all.slice/lukko-spawn.scope",
  "system.slice/system-cm4all.slice/workshop-spawn.scope",
  "system.slice/system-cm4all.slice/openssh.scope",
  "system.slice/cm4all-beng-spawn.scope",
  "system.slice/cm4all-workshop-spawn.scope",
  "system.slice/cm4all-openssh.scope",
];

/** What a directory of cgroup2 is to the reaper. */
export type Place =
  /** A directory above scopes: only what matches the rest of a pattern matters in it. */
  | { readonly kind: "way"; readonly patterns: readonly (readonly RegExp[])[] }
  | { readonly kind: "scope" }
  | { readonly kind: "cgroup" };

const SCOPE: Place = { kind: "scope" };
const CGROUP: Place = { kind: "cgroup" };

/**
 * Turns a glob for one component (`*`, `?`, `[abc]`, `[!a-c]`, as in glob(7)) into a regular
 * expression for names that have one character for each byte.
 */
function componentPattern(component: string): RegExp {
  let source = "";
  for (const [part] of component.matchAll(/\[!?\]?[^\]]*\]|./gs)) {
    if (part === "*") source += ".*";
    else if (part === "?") source += ".";
    else if (part.length > 1) {
      const inner = part.slice(1, -1).replace(/[\\\]^[]/g, "\\$&");
      source += `[${inner.startsWith("!") ? `^${inner.slice(1)}` : inner}]`;
    } else source += part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  }
  return new RegExp(`^${source}$`, "s");
}

/** A configured scope is not a path below the root, or has an invalid or unsupported glob. */
export class ScopeError extends Error {
  override readonly name = "ScopeError";
}

/**
 * Returns the patterns of a scope's components.
 * @param scope the text from the configuration
 * @throws ScopeError
 */
export function parseScope(scope: string): RegExp[] {
  const trimmed = scope.replace(/^\/|\/$/g, "");
  const components = latin1Of(bytesOfText(trimmed)).split("/");
  for (const component of components) {
    if (component === "" || component === "." || component === "..")
      throw new ScopeError(`${JSON.stringify(scope)} is not a path below the cgroup root`);
    if (component.includes("**"))
      throw new ScopeError(`${JSON.stringify(scope)}: ** is not supported, name each level`);
  }
  try {
    return components.map(componentPattern);
  } catch (error) {
    const reason = errorText(error);
    throw new ScopeError(`${JSON.stringify(scope)}: ${reason}`, { cause: error });
  }
}

/** Returns the place of the cgroup2 root itself. @throws ScopeError */
export function rootPlace(scopes: readonly string[]): Place {
  return { kind: "way", patterns: scopes.map(parseScope) };
}

/**
 * Returns the place of the directory `name` within `place`; undefined if the directory does not
 * matter.
 */
export function enterPlace(place: Place, name: ByteString): Place | undefined {
  if (place.kind !== "way") return CGROUP;
  const rest: (readonly RegExp[])[] = [];
  for (const [first, ...others] of place.patterns) {
    if (!first?.test(latin1Of(name))) continue;
    // A scope within a scope adds nothing: everything below the outer one is managed.
    if (others.length === 0) return SCOPE;
    rest.push(others);
  }
  return rest.length === 0 ? undefined : { kind: "way", patterns: rest };
}
