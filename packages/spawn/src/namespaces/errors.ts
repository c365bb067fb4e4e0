import { SyscallError } from "@cm4all/linux";

/** A request that is refused for a reason that the client is told. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** Whether the kernel refused something: a system call of ours or of Node's. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof SyscallError || (error instanceof Error && "syscall" in error);
}
