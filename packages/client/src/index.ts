export { connect, SpawnClient } from "./client.ts";
export { SpawnError, type SpawnErrorKind } from "./errors.ts";
export { Handle } from "./handle.ts";
export type { ClientOptions, Grant, HandleType, UserMap, Wanted } from "./types.ts";
