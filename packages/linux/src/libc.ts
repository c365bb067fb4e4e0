/**
 * Calls C functions of libc, and system calls. There are two ways to do so, and no other module
 * knows both.
 *
 * ffi-rs can call every function of libc and needs nothing to be compiled here, but each call
 * takes 2 to 6 us. Our addon, if it was built, makes the system calls on its list in a quarter of a
 * microsecond each. Either way, a call has the name of the function in libc, and the same result.
 *
 * Every argument is passed as a 64-bit integer. Addresses are plain numbers, because those of user
 * space are below 2^48 and a double is exact up to 2^53. The addresses of our own memory
 * come from memory.ts.
 */
import { DataType, load, open } from "ffi-rs";
import { type Addon, tryLoadAddon } from "./addon.ts";

const LIBRARY = "";
open({ library: LIBRARY, path: "" });

/** Calls a function. Returns its value, or a negated errno if the function returned -1. */
export type RawCall = (...args: number[]) => number;

const addon = tryLoadAddon();

/** How system calls are made: all through ffi-rs, or the frequent ones through the addon. */
export const callEngine: "addon" | "ffi-rs" = addon === undefined ? "ffi-rs" : "addon";

/**
 * The system calls whose names differ from those of the functions in libc. The arguments that only
 * the system call has are 0: no address (sendto, recvfrom), no signal mask (epoll_pwait).
 */
const CALL_OF: Readonly<Record<string, string>> = {
  epoll_wait: "epoll_pwait",
  eventfd: "eventfd2",
  recv: "recvfrom",
  send: "sendto",
};

/** Returns the call through the addon; undefined if the addon does not make it. */
function tryAddonCall({ call, numbers }: Addon, name: string, arity: number): RawCall | undefined {
  const number = numbers[CALL_OF[name] ?? name];
  return number === undefined ? undefined : bindNumber(call, number, arity);
}

/**
 * Returns a function that makes one system call through the addon. It passes only the arguments of
 * the function in libc, because each costs time; the others are 0.
 */
function bindNumber(call: Addon["call"], number: number, arity: number): RawCall {
  switch (arity) {
    case 0:
      return () => call(number);
    case 1:
      return (a = 0) => call(number, a);
    case 2:
      return (a = 0, b = 0) => call(number, a, b);
    case 3:
      return (a = 0, b = 0, c = 0) => call(number, a, b, c);
    case 4:
      return (a = 0, b = 0, c = 0, d = 0) => call(number, a, b, c, d);
    default:
      return (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) => call(number, a, b, c, d, e, f);
  }
}

function ffiCall(name: string, arity: number, retType: DataType.I32 | DataType.I64): RawCall {
  // One object for all calls, because building it anew costs as much as the call.
  const call = {
    library: LIBRARY,
    funcName: name,
    retType,
    paramsType: new Array<DataType>(arity).fill(DataType.I64),
    paramsValue: new Array<number>(arity).fill(0),
    errno: true as const,
  };
  return (...args) => {
    if (args.length !== arity) throw new TypeError(`${name} takes ${arity} arguments`);
    for (let i = 0; i < arity; i++) call.paramsValue[i] = args[i] ?? 0;
    const { value, errnoCode } = load(call);
    return value === -1 ? -errnoCode : value;
  };
}

function rawCall(name: string, arity: number, retType: DataType.I32 | DataType.I64): RawCall {
  const direct = addon === undefined ? undefined : tryAddonCall(addon, name, arity);
  return direct ?? ffiCall(name, arity, retType);
}

/** Returns a C function whose result is an `int`. */
export function intFunction(name: string, arity: number): RawCall {
  return rawCall(name, arity, DataType.I32);
}

/** Returns a C function whose result is a `long`, an `ssize_t` or a pointer. */
export function longFunction(name: string, arity: number): RawCall {
  return rawCall(name, arity, DataType.I64);
}

/**
 * Returns a system call for which libc has no function, or has one only in recent versions.
 * @param number its number on this architecture
 * @see syscall(2)
 */
export function systemCall(name: string, number: number, arity: number): RawCall {
  const direct = addon === undefined ? undefined : tryAddonCall(addon, name, arity);
  if (direct !== undefined) return direct;
  const call = ffiCall("syscall", 1 + arity, DataType.I64);
  return (...args) => call(number, ...args);
}

/**
 * Returns a system call through the addon; undefined if the addon is missing or does not make the
 * call. It is for calls that Node can make, too: Node is slower than the addon, but faster than
 * ffi-rs.
 */
export function cheapCall(name: string, arity: number): RawCall | undefined {
  return addon === undefined ? undefined : tryAddonCall(addon, name, arity);
}

/**
 * Returns the address of a buffer's memory, valid as long as the buffer is referenced.
 * @param buffer a buffer with memory of its own (`Buffer.allocUnsafeSlow`, `Buffer.alloc`)
 */
export function addressOf(buffer: Buffer): number {
  return Number(
    load({
      library: LIBRARY,
      funcName: "memcpy",
      retType: DataType.BigInt,
      paramsType: [DataType.U8Array, DataType.U8Array, DataType.I64],
      paramsValue: [buffer, buffer, 0],
    }),
  );
}

/** Returns the address of a C function of libc, to be passed to another function. @see dlsym(3) */
export function functionAddress(name: string): number {
  const address = load({
    library: LIBRARY,
    funcName: "dlsym",
    retType: DataType.I64,
    paramsType: [DataType.I64, DataType.String],
    paramsValue: [0, name],
  });
  if (address === 0) throw new Error(`dlsym: no function ${name}`);
  return address;
}
