import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/** The arguments of a failed call, as far as they help to understand the failure. */
export type CallArguments = Readonly<Record<string, string | number | undefined>>;

const errorMap = getSystemErrorMap();

/** Returns the kernel's name for an errno, such as `ENOENT`. */
export function errnoName(errno: number): string {
  const known = errorMap.get(-errno)?.[0];
  if (known !== undefined) return known;
  // Errnos for which libuv has no message, such as ENOEXEC.
  const named = Object.entries(constants.errno).find(([, number]) => number === errno)?.[0];
  return named ?? `errno ${errno}`;
}

/** Returns a short description of an errno, such as `no such file or directory`. */
export function errnoText(errno: number): string {
  return errorMap.get(-errno)?.[1] ?? `error number ${errno}`;
}

function formatArguments(args: CallArguments): string {
  return Object.entries(args)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${typeof value === "string" ? JSON.stringify(value) : value}`)
    .join(", ");
}

/**
 * A system call has failed. The error has the properties of Node's own system errors (`code`,
 * negative `errno`, `syscall`), so that both are handled alike.
 */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  /** The name of the call, such as `mount`. */
  readonly syscall: string;
  /** The name of the errno, such as `EPERM`. */
  readonly code: string;
  /** The negated errno, as in Node's system errors. */
  readonly errno: number;
  readonly args: CallArguments;

  /** @param errno the positive errno of the kernel */
  constructor(syscall: string, errno: number, args: CallArguments = {}, hint?: string) {
    const advice = hint === undefined ? "" : ` (${hint})`;
    super(
      `${syscall}(${formatArguments(args)}): ${errnoName(errno)}: ${errnoText(errno)}${advice}`,
    );
    this.syscall = syscall;
    this.code = errnoName(errno);
    this.errno = -errno;
    this.args = args;
  }
}

/**
 * Returns whether `error` is a failed system call, ours or Node's, with one of these errno names.
 */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** Returns whether a call has failed because descriptors or memory have run short. */
export function isShortage(error: unknown): boolean {
  return isErrno(error, "EMFILE", "ENFILE", "ENOMEM");
}

/** Returns the message of an error, or any other thrown value as text. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Returns the result of a raw call, unless it is an error.
 * @param result the result of a function of libc.ts: a value, or a negated errno
 * @throws SyscallError
 */
export function check(result: number, syscall: string, args?: CallArguments): number {
  if (result < 0) throw new SyscallError(syscall, -result, args);
  return result;
}
