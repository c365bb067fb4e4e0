import { isErrno, isShortage, SyscallError } from "@cm4all/linux";

/** A request that is refused. The message is the reason that the client is given. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/**
 * Called when a system call has failed and no client waits for its result.
 * @param what the effect of the failure
 */
export type OnError = (what: string, error: Error) => void;

/** Returns whether the error is that of a system call that this program or Node has made. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof SyscallError || (error instanceof Error && "syscall" in error);
}

/**
 * Returns whether a call has failed because descriptors, memory or something else that the kernel
 * limits (ENOSPC) have run short. Such a failure says nothing about the object of the call.
 */
export function hasRunShort(error: unknown): boolean {
  return isShortage(error) || isErrno(error, "ENOSPC");
}

/**
 * Returns the key under which a failure is logged only once: the system call and the kind of
 * error, without arguments, because the same failure may occur for many names.
 */
export function errorKey(error: Error): string {
  return "syscall" in error && "code" in error ? `${error.syscall} ${error.code}` : error.message;
}
