/** Turns an answer of the daemon into the handles that were asked for. */
import {
  decodeResponse,
  NAMESPACE_KINDS,
  ProtocolError,
  type Response,
} from "@cm4all/spawn-protocol";
import type { Answer } from "./connection.ts";
import { SpawnError } from "./errors.ts";
import { Handle } from "./handle.ts";
import type { Grant, HandleType, Wanted } from "./types.ts";

/** The types of handles, in the order of their descriptors in an answer; a lease has no flag. */
const HANDLES: readonly { readonly type: HandleType; readonly flag: number | undefined }[] = [
  ...NAMESPACE_KINDS.map(({ kind, flag }) => ({ type: kind, flag })),
  { type: "lease", flag: undefined },
];

/** All types of handles, in the same order. */
export const HANDLE_TYPES: readonly HandleType[] = HANDLES.map(({ type }) => type);

class Handles {
  readonly #handles: ReadonlyMap<HandleType, Handle>;

  constructor(handles: ReadonlyMap<HandleType, Handle>) {
    this.#handles = handles;
    for (const type of HANDLE_TYPES) Object.assign(this, { [type]: handles.get(type) });
  }

  close(): void {
    for (const handle of this.#handles.values()) handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Takes over the descriptors of `answer` if they are exactly those that were asked for; otherwise
 * closes them all.
 * @throws SpawnError of kind `refused` or `protocol`
 */
export function takeGrant<W extends Wanted>(answer: Answer, wanted: W): Grant<W> {
  try {
    const response = understand(answer.bytes);
    if (response.kind === "error") throw new SpawnError("refused", response.message);
    const expected = HANDLES.filter(({ type }) => (wanted[type] ?? false) !== false);
    const flags = expected.flatMap(({ flag }) => flag ?? []);
    if (
      String(response.namespaces) !== String(flags) ||
      response.lease !== flags.length < expected.length ||
      answer.fds.length !== expected.length
    )
      throw new SpawnError("protocol", "the daemon's answer is not what was asked for");
    const handles = new Map<HandleType, Handle>();
    for (const [i, fd] of answer.fds.entries()) {
      const type = expected[i]?.type;
      if (type !== undefined) handles.set(type, new Handle(fd.release()));
    }
    // All requested handles are there, which the compiler cannot see.
    return new Handles(handles) as object as Grant<W>;
  } finally {
    for (const fd of answer.fds) fd.close();
  }
}

function understand(bytes: Uint8Array): Response {
  try {
    return decodeResponse(bytes);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SpawnError("protocol", `cannot understand the daemon's answer: ${error.message}`, {
      cause: error,
    });
  }
}
