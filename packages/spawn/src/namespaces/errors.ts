import { SyscallError } from "@cm4all/linux";

/** A request that is refused. The message is the reason that the client is given. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** Returns whether the error is that of a system call, ours or Node's. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof SyscallError || (error instanceof Error && "syscall" in error);
}
