/** The global `sodium`: functions of libsodium under their own names. */
import { randomBytes } from "node:crypto";
import { blake2b } from "@noble/hashes/blake2b";
import nacl from "tweetnacl";
import { spend } from "../compat/budget.ts";
import {
  argumentError,
  checkText,
  fromBytes,
  type LuaState,
  lauxlib,
  lua,
  pushLibrary,
  pushText,
  raise,
  setLibrary,
  toBytes,
} from "../lua.ts";

/** The costs of a call's operations on elliptic curves, in instructions. */
const BOX = 20_000;
const SIGNATURE = 80_000;
/** The costs of each byte of a message, in instructions. */
const BOXED = 1 / 4;
const SIGNED = 1;

const SEAL_BYTES = 48;
const MAX_RANDOM = 1_048_576;

function bytesArgument(L: LuaState, index: number): Uint8Array {
  return toBytes(checkText(L, index));
}

/** Returns the key in an argument. @throws a Lua error if its length is not `bytes` */
function key(L: LuaState, index: number, bytes: number, what: string): Uint8Array {
  const value = bytesArgument(L, index);
  return value.length === bytes ? value : argumentError(L, index, `Malformed ${what} key`);
}

function arity(L: LuaState, count: number): void {
  if (lua.lua_gettop(L) > count) raise(L, "Too many parameters");
}

function pushBytes(L: LuaState, ...values: Uint8Array[]): number {
  for (const value of values) pushText(L, fromBytes(value));
  return values.length;
}

/** Returns the nonce of a sealed box. @see crypto_box_seal */
function sealNonce(ephemeral: Uint8Array, recipient: Uint8Array): Uint8Array {
  return blake2b.create({ dkLen: 24 }).update(ephemeral).update(recipient).digest();
}

function bin2hex(L: LuaState): number {
  const text = checkText(L, 1);
  arity(L, 1);
  pushText(L, Buffer.from(text, "latin1").toString("hex"));
  return 1;
}

function hex2bin(L: LuaState): number {
  const text = checkText(L, 1);
  arity(L, 1);
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) return 0;
  pushText(L, Buffer.from(text, "hex").toString("latin1"));
  return 1;
}

function randombytes(L: LuaState): number {
  const count = lauxlib.luaL_checkinteger(L, 1);
  arity(L, 1);
  if (count < 1) return argumentError(L, 1, "Size is too small");
  if (count > MAX_RANDOM) return argumentError(L, 1, "Size is too large");
  return pushBytes(L, randomBytes(count));
}

function boxKeypair(L: LuaState): number {
  arity(L, 0);
  spend(L, BOX);
  const { publicKey, secretKey } = nacl.box.keyPair();
  return pushBytes(L, publicKey, secretKey);
}

function boxSeal(L: LuaState): number {
  const message = bytesArgument(L, 1);
  const recipient = key(L, 2, 32, "public");
  arity(L, 2);
  spend(L, BOX + message.length * BOXED);
  const ephemeral = nacl.box.keyPair();
  const nonce = sealNonce(ephemeral.publicKey, recipient);
  const box = nacl.box(message, nonce, recipient, ephemeral.secretKey);
  return pushBytes(L, Buffer.concat([ephemeral.publicKey, box]));
}

function boxSealOpen(L: LuaState): number {
  const sealed = bytesArgument(L, 1);
  if (sealed.length < SEAL_BYTES) return argumentError(L, 1, "Malformed ciphertext");
  const publicKey = key(L, 2, 32, "public");
  const secretKey = key(L, 3, 32, "secret");
  arity(L, 3);
  spend(L, BOX + sealed.length * BOXED);
  const ephemeral = sealed.subarray(0, 32);
  const nonce = sealNonce(ephemeral, publicKey);
  const message = nacl.box.open(sealed.subarray(32), nonce, ephemeral, secretKey);
  return message === null ? 0 : pushBytes(L, message);
}

function scalarmultBase(L: LuaState): number {
  const secret = key(L, 1, 32, "secret");
  arity(L, 1);
  spend(L, BOX);
  return pushBytes(L, nacl.scalarMult.base(secret));
}

function signKeypair(L: LuaState): number {
  arity(L, 0);
  spend(L, SIGNATURE);
  const { publicKey, secretKey } = nacl.sign.keyPair();
  return pushBytes(L, publicKey, secretKey);
}

function signDetached(L: LuaState): number {
  const message = bytesArgument(L, 1);
  const secret = key(L, 2, 64, "secret");
  arity(L, 2);
  spend(L, SIGNATURE + message.length * SIGNED);
  return pushBytes(L, nacl.sign.detached(message, secret));
}

function verifyDetached(L: LuaState): number {
  const signature = bytesArgument(L, 1);
  const message = bytesArgument(L, 2);
  const publicKey = key(L, 3, 32, "public");
  arity(L, 3);
  if (signature.length !== 64) return 0;
  spend(L, SIGNATURE + message.length * SIGNED);
  lua.lua_pushboolean(L, nacl.sign.detached.verify(message, signature, publicKey));
  return 1;
}

/** Adds the library `sodium`. */
export function openSodium(L: LuaState): void {
  pushLibrary(L, {
    bin2hex,
    hex2bin,
    randombytes,
    crypto_box_keypair: boxKeypair,
    crypto_box_seal: boxSeal,
    crypto_box_seal_open: boxSealOpen,
    crypto_scalarmult_base: scalarmultBase,
    crypto_sign_keypair: signKeypair,
    crypto_sign_detached: signDetached,
    crypto_sign_verify_detached: verifyDetached,
  });
  setLibrary(L, "sodium");
}
