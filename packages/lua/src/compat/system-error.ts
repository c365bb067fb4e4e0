/** Errors of Node's file system functions in the words of strerror(3). */
import { getSystemErrorMap } from "node:util";

// libuv has its own messages for these; scripts and people expect those of the C library.
const words: Record<string, string> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EEXIST: "File exists",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EINVAL: "Invalid argument",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files in system",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EPIPE: "Broken pipe",
  EBADF: "Bad file descriptor",
  EBUSY: "Device or resource busy",
  ENODEV: "No such device",
  ENOTEMPTY: "Directory not empty",
  E2BIG: "Argument list too long",
  EXDEV: "Invalid cross-device link",
  ENAMETOOLONG: "File name too long",
  ELOOP: "Too many levels of symbolic links",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  ENOTCONN: "Transport endpoint is not connected",
  ETIMEDOUT: "Connection timed out",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
  EADDRNOTAVAIL: "Cannot assign requested address",
  EMSGSIZE: "Message too long",
  EPROTOTYPE: "Protocol wrong type for socket",
  ESOCKTNOSUPPORT: "Socket type not supported",
  EPROTONOSUPPORT: "Protocol not supported",
  EAGAIN: "Resource temporarily unavailable",
};

/** Returns an error's text in the C library's words, which scripts expect. @see strerror(3) */
export function systemErrorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, errno } = error as NodeJS.ErrnoException;
  if (code !== undefined && words[code] !== undefined) return words[code];
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  return known?.[1] ?? error.message;
}

/** Returns the positive error number; 0 if there is none. */
export function systemErrorNumber(error: unknown): number {
  const errno = error instanceof Error ? (error as NodeJS.ErrnoException).errno : undefined;
  return Math.abs(errno ?? 0);
}
