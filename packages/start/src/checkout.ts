/** Paths in this checkout. */
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { shellWord } from "./shell-word.ts";

/** The checkout's root directory: this file is bundled into packages/start/dist/start.js. */
const root = fileURLToPath(new URL("../../..", import.meta.url));

export const DAEMON = join(root, "packages/spawn/dist/cm4all-spawn.js");
export const CLIENT = join(root, "packages/client/dist/cm4all-spawn-client.js");
export const SCRIPT = join(root, "examples/accounting/postgres.lua");
export const TABLES = join(root, "examples/accounting/postgres.sql");

/** The directory for data that is kept from one start to the next; SPAWN_DATA sets another one. */
export const DATA = resolve(process.env["SPAWN_DATA"] ?? join(root, ".data"));

/** Returns a path as one would type it into a shell in the current directory. */
export function shown(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return shellWord(fromHere.startsWith("..") ? path : fromHere);
}
