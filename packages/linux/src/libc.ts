/**
 * C functions of the program itself: the only import of ffi-rs, so that the engine
 * can be replaced in one place.
 *
 * Every argument is passed as a 64-bit integer register; addresses are plain
 * numbers, because user space ends below 2^47 and a double is exact up to 2^53.
 */
import { DataType, load, open } from "ffi-rs";

const LIBRARY = "";
open({ library: LIBRARY, path: "" });

/** Gives a value, or a negated errno where the function gave -1, as the kernel does. */
export type RawCall = (...args: number[]) => number;

function rawCall(name: string, arity: number, retType: DataType.I32 | DataType.I64): RawCall {
  // One object for all calls: building it anew costs as much as the call.
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

/** A C function that returns an `int`. */
export function intFunction(name: string, arity: number): RawCall {
  return rawCall(name, arity, DataType.I32);
}

/** A C function that returns a `long`, an `ssize_t` or a pointer. */
export function longFunction(name: string, arity: number): RawCall {
  return rawCall(name, arity, DataType.I64);
}

/**
 * The address of `buffer`'s memory, valid as long as `buffer` is referenced.
 * @param buffer with memory of its own (`Buffer.allocUnsafeSlow`, `Buffer.alloc`)
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

/** The address of a C function of libc, to be handed to another one. @see dlsym(3) */
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
