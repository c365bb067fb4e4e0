/** From an answer of the daemon to what was asked for. */
import {
  CLONE_NEWIPC,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  decodeResponse,
  ProtocolError,
  type Response,
} from "@cm4all/spawn-protocol";
import type { Answer } from "./connection.ts";
import { SpawnError } from "./errors.ts";
import { Handle } from "./handle.ts";
import type { Grant, HandleType, Wanted } from "./types.ts";

/** In the order of an answer; what has no flag is not a namespace. */
const ORDER: readonly { readonly type: HandleType; readonly flag: number | undefined }[] = [
  { type: "ipc", flag: CLONE_NEWIPC },
  { type: "pid", flag: CLONE_NEWPID },
  { type: "user", flag: CLONE_NEWUSER },
  { type: "lease", flag: undefined },
];

class Handles {
  readonly ipc: Handle | undefined;
  readonly pid: Handle | undefined;
  readonly user: Handle | undefined;
  readonly lease: Handle | undefined;

  constructor(handles: ReadonlyMap<HandleType, Handle>) {
    this.ipc = handles.get("ipc");
    this.pid = handles.get("pid");
    this.user = handles.get("user");
    this.lease = handles.get("lease");
  }

  close(): void {
    for (const handle of [this.ipc, this.pid, this.user, this.lease]) handle?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Takes over the descriptors of `answer`, which are exactly those that were asked for;
 * otherwise closes them all.
 * @throws SpawnError of kind `refused` or `protocol`
 */
export function takeGrant<W extends Wanted>(answer: Answer, wanted: W): Grant<W> {
  try {
    const response = understand(answer.bytes);
    if (response.kind === "error") throw new SpawnError("refused", response.message);
    const expected = ORDER.filter(({ type }) => (wanted[type] ?? false) !== false);
    const flags = expected.flatMap(({ flag }) => flag ?? []);
    if (
      String(response.namespaces) !== String(flags) ||
      response.lease !== flags.length < expected.length ||
      answer.fds.length !== expected.length
    )
      throw new SpawnError("protocol", "the daemon answered something else than was asked for");
    const handles = new Map<HandleType, Handle>();
    for (const [i, fd] of answer.fds.entries()) {
      const type = expected[i]?.type;
      if (type !== undefined) handles.set(type, new Handle(fd.release()));
    }
    // What was asked for is known to be there, which the compiler cannot see.
    return new Handles(handles) as Grant<W>;
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
