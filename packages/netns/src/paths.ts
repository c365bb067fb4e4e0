/** Paths. The first two directories are defined by ip-netns(8), all other paths by us. */
import { join } from "node:path";

/** Named network namespaces: bind mounts of nsfs. */
export const NETNS_DIRECTORY = "/run/netns";
/**
 * Contains a directory for each namespace, with files that the namespace's commands see in place of
 * those in /etc.
 */
export const NETNS_ETC_DIRECTORY = "/etc/netns";
/**
 * The records, and the files that we generate. A lock on the directory itself protects everything
 * that namespaces share.
 */
export const RECORD_DIRECTORY = "/run/cm4all-spawn-netns";
export const CONFIG_DIRECTORY = "/etc/cm4all/spawn/netns";
/** The configuration for all namespaces: the pool of addresses. */
export const CONFIG_FILE = `${CONFIG_DIRECTORY}.toml`;
/** The description for names that have neither a description nor a script of their own. */
export const TEMPLATE_FILE = join(CONFIG_DIRECTORY, "default.toml");

const RECORD_SUFFIX = ".json";

/** Returns the path of the file on which a namespace is mounted. @see ip-netns(8) */
export const namespacePath = (name: string): string => join(NETNS_DIRECTORY, name);
/** Returns the path of the record of a namespace. */
export const recordPath = (name: string): string => join(RECORD_DIRECTORY, name + RECORD_SUFFIX);
/** Returns the path of the file that is to replace a record. */
export const newRecordPath = (path: string): string => `${path}.new`;
/** Returns the name of the namespace whose record is in a file; undefined for other files. */
export const recordName = (file: string): string | undefined =>
  file.endsWith(RECORD_SUFFIX) ? file.slice(0, -RECORD_SUFFIX.length) : undefined;
/** Returns the path of the set-up script of a namespace. */
export const scriptPath = (name: string): string => join(CONFIG_DIRECTORY, "setup.d", name);
/** Returns the path of the description of a namespace. */
export const descriptionPath = (name: string): string => join(CONFIG_DIRECTORY, `${name}.toml`);

/** Returns the path of the resolv.conf that we generate; etcResolvConf() is a link to it. */
export const generatedResolvConf = (name: string): string =>
  join(RECORD_DIRECTORY, `${name}.resolv.conf`);
/** Returns the path of the directory whose files stand in for those in /etc. @see ip-netns(8) */
export const etcDirectory = (name: string): string => join(NETNS_ETC_DIRECTORY, name);
/** Returns the path of the file that stands in for /etc/resolv.conf. */
export const etcResolvConf = (name: string): string => join(etcDirectory(name), "resolv.conf");
