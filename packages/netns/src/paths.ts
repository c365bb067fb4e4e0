/** Paths. The first two directories are defined by ip-netns(8), all other paths by us. */
import { join } from "node:path";

/** Named network namespaces: bind mounts of nsfs. */
export const NETNS_DIRECTORY = "/run/netns";
/** A directory for each namespace, with files that its commands see in place of those in /etc. */
export const NETNS_ETC_DIRECTORY = "/etc/netns";
/**
 * The records, and the files that we generate. A lock on the directory itself protects everything
 * that namespaces share.
 */
export const RECORD_DIRECTORY = "/run/cm4all-spawn-netns";
export const CONFIG_DIRECTORY = "/etc/cm4all/spawn/netns";
/** The configuration for all namespaces: the pool of addresses. */
export const CONFIG_FILE = `${CONFIG_DIRECTORY}.toml`;
/** The description for names that have neither a file nor a script of their own. */
export const TEMPLATE_FILE = join(CONFIG_DIRECTORY, "default.toml");

const RECORD_SUFFIX = ".json";

/** Returns the file on which a namespace is mounted. @see ip-netns(8) */
export const namespacePath = (name: string): string => join(NETNS_DIRECTORY, name);
/** Returns the record of a name. */
export const recordPath = (name: string): string => join(RECORD_DIRECTORY, name + RECORD_SUFFIX);
/** Returns the path of the file that is to replace a record. */
export const newRecordPath = (path: string): string => `${path}.new`;
/** Returns the name that a record's file belongs to; undefined for other files. */
export const recordName = (file: string): string | undefined =>
  file.endsWith(RECORD_SUFFIX) ? file.slice(0, -RECORD_SUFFIX.length) : undefined;
/** Returns the set-up script of a name. */
export const scriptPath = (name: string): string => join(CONFIG_DIRECTORY, "setup.d", name);
/** Returns the description of a name. */
export const descriptionPath = (name: string): string => join(CONFIG_DIRECTORY, `${name}.toml`);

/** Returns the resolv.conf that we generate, to which etcResolvConf() is a link. */
export const generatedResolvConf = (name: string): string =>
  join(RECORD_DIRECTORY, `${name}.resolv.conf`);
/** Returns the directory whose files stand in for those in /etc. @see ip-netns(8) */
export const etcDirectory = (name: string): string => join(NETNS_ETC_DIRECTORY, name);
/** Returns the file that stands in for /etc/resolv.conf. */
export const etcResolvConf = (name: string): string => join(etcDirectory(name), "resolv.conf");
