/**
 * Lua tables with an array part, as in LuaJIT: the keys 0, 1, 2, ... are in a row of slots, all
 * other keys in a map that keeps the order of insertion. Replaces fengari's module `ltable`, whose
 * tables consist of a map only.
 */
import defs from "fengari/src/defs.js";
import ldebug from "fengari/src/ldebug.js";
import lobject from "fengari/src/lobject.js";
import lstring from "fengari/src/lstring.js";
import type { LuaState, TString, TValue } from "fengari/src/types";
import { budget } from "./budget.ts";

const LUA_TNIL = 0;
const LUA_TLIGHTUSERDATA = 2;
const LUA_TNUMFLT = 3;
/** The type of numbers without its variants, as `ttnov` returns it. */
const LUA_TNUMBER = 3;
const LUA_TSTRING = 4;

/** An entry whose value becomes nil stays in its place: a traversal may have just reached it. */
interface Entry {
  key: TValue;
  value: TValue;
  index: number;
}

export class Table {
  id: number;
  metatable: Table | null = null;
  /** A bit for each metamethod that is known to be absent; maintained by fengari. */
  flags = ~0;
  /** The values of the keys 0 to `arraySize - 1`; nil is stored as undefined or as a nil value. */
  array: (TValue | undefined)[] = [];
  arraySize = 0;
  /** All other keys. The lexer accesses this map, so it has the same name as in fengari. */
  strong = new Map<unknown, Entry>();
  /** The entries of `strong` in the order of `next`. */
  entries: Entry[] = [];
  /** The number of entries at which the table is full, so that the next key rearranges it. */
  capacity = 0;

  constructor(L: LuaState) {
    this.id = L.l_G.id_counter++;
  }
}

/** Returns an empty table. Replaces fengari's function of the same name. */
export function luaH_new(L: LuaState): Table {
  return new Table(L);
}

/** Forgets which metamethods the table is known not to have. */
export function invalidateTMcache(t: Table): void {
  t.flags = 0;
}

/**
 * The keys by which the map holds light userdata: each stands for a value outside Lua, and is equal
 * to no other key.
 */
const lightKeys = new Map<unknown, object>();
function lightKey(value: unknown): object {
  let key = lightKeys.get(value);
  if (key === undefined) {
    key = {};
    lightKeys.set(value, key);
  }
  return key;
}

function mapKey(key: TValue): unknown {
  switch (key.ttnov()) {
    case LUA_TSTRING:
      return lstring.luaS_hashlongstr(key.value as TString);
    case LUA_TLIGHTUSERDATA:
      return lightKey(key.value);
    default:
      return key.value;
  }
}

function getByMapKey(t: Table, key: unknown): TValue {
  return t.strong.get(key)?.value ?? lobject.luaO_nilobject;
}

/** Returns the value at an integer key, or nil. */
export function luaH_getint(t: Table, n: number): TValue {
  return t.array[n] ?? getByMapKey(t, n);
}

/** Returns the value at a string key, or nil. */
export function luaH_getstr(t: Table, key: TString): TValue {
  return getByMapKey(t, lstring.luaS_hashlongstr(key));
}

/** Returns the value at any key, or nil. */
export function luaH_get(_L: LuaState | null, t: Table, key: TValue): TValue {
  if (key.ttnov() === LUA_TNUMBER) return luaH_getint(t, key.value as number);
  return getByMapKey(t, mapKey(key));
}

/**
 * Sets an element; used by constructors and libraries. A constructor sets its elements in groups of
 * up to 50, the last element of a group first, which makes room for the whole group.
 */
export function luaH_setint(t: Table, n: number, value: TValue): void {
  if (n >= t.arraySize && n - t.arraySize <= 64 && t.entries.length === 0)
    t.arraySize = Math.max(n + 1, 3);
  setNumber(t, n, value);
}

/** Sets a value. Raises a Lua error for a key that is nil or NaN. */
export function luaH_setfrom(L: LuaState, t: Table, key: TValue, value: TValue): void {
  const type = key.ttnov();
  if (type === LUA_TNUMBER) {
    const n = key.value as number;
    if (Number.isNaN(n)) ldebug.luaG_runerror(L, defs.to_luastring("table index is NaN"));
    setNumber(t, n, value);
    return;
  }
  if (type === LUA_TNIL) ldebug.luaG_runerror(L, defs.to_luastring("table index is nil"));
  setMapped(t, mapKey(key), key, value);
}

function isIndex(n: number, size: number): boolean {
  return n >= 0 && n < size && Number.isInteger(n);
}

function setNumber(t: Table, n: number, value: TValue): void {
  const slot = t.array[n];
  if (slot !== undefined) slot.setfrom(value);
  else if (isIndex(n, t.arraySize)) t.array[n] = new lobject.TValue(value.type, value.value);
  else setMapped(t, n, new lobject.TValue(LUA_TNUMFLT, n), value);
}

function setMapped(t: Table, mapKey: unknown, key: TValue, value: TValue): void {
  const entry = t.strong.get(mapKey);
  if (entry !== undefined) entry.value.setfrom(value);
  else if (!value.ttisnil()) insert(t, mapKey, key, value);
}

function insert(t: Table, mapKey: unknown, key: TValue, value: TValue): void {
  // An element that is appended to a full array part goes into the array part, so that a traversal
  // reaches it before all keys of the map.
  const isNext = t.arraySize > 2 && t.array.length === t.arraySize && key.value === t.arraySize;
  if (t.entries.length >= t.capacity || isNext) {
    rearrange(t, key);
    if (key.ttnov() === LUA_TNUMBER && isIndex(key.value as number, t.arraySize)) {
      setNumber(t, key.value as number, value);
      return;
    }
  }
  const entry: Entry = {
    key: new lobject.TValue(key.type, key.value),
    value: new lobject.TValue(value.type, value.value),
    index: t.entries.length,
  };
  t.strong.set(mapKey, entry);
  t.entries.push(entry);
}

/**
 * Chooses the size of the array part as LuaJIT does: the largest power of two at which more than a
 * quarter of the slots are in use, counting the new key, plus one slot for the key 0. Drops entries
 * without a value.
 */
function rearrange(t: Table, newKey: TValue): void {
  const { array, entries } = t;
  budget.left -= array.length / SKIPPED + entries.length * MOVED;
  const live = entries.filter(({ value }) => !value.ttisnil());
  /** The number of keys from 0 to 2, from 3 to 4, from 5 to 8, from 9 to 16, ... */
  const bins: number[] = [];
  let numbers = 0;
  const count = (n: unknown) => {
    if (typeof n !== "number" || !isIndex(n, MAX_ARRAY)) return;
    const bin = n > 2 ? 31 - Math.clz32(n - 1) : 0;
    bins[bin] = (bins[bin] ?? 0) + 1;
    numbers++;
  };
  array.forEach((value, n) => {
    if (value?.ttisnil() === false) count(n);
  });
  const inArray = numbers;
  for (const { key } of live) count(key.value);
  count(newKey.value);
  const { size, members } = bestArraySize(bins, numbers);
  resize(t, live, size, 1 + inArray + live.length - members);
}

const MAX_ARRAY = 2 ** 27;

function bestArraySize(bins: number[], numbers: number): { size: number; members: number } {
  let best = { size: 0, members: 0 };
  let sum = 0;
  for (let bin = 0; 2 * numbers > 2 ** bin && sum !== numbers; bin++) {
    const added = bins[bin] ?? 0;
    sum += added;
    if (added > 0 && 2 * sum > 2 ** bin) best = { size: 2 * 2 ** bin + 1, members: sum };
  }
  return best;
}

function resize(t: Table, live: Entry[], size: number, others: number): void {
  const { array } = t;
  t.array = array.slice(0, size);
  t.arraySize = size;
  t.strong = new Map();
  t.entries = [];
  t.capacity = others === 0 ? 0 : Math.max(2, 2 ** Math.ceil(Math.log2(others)));
  array.slice(size).forEach((value, n) => {
    if (value?.ttisnil() === false) move(t, new lobject.TValue(LUA_TNUMFLT, size + n), value);
  });
  for (const { key, value } of live) move(t, key, value);
}

function move(t: Table, key: TValue, value: TValue): void {
  if (key.ttnov() === LUA_TNUMBER && isIndex(key.value as number, t.arraySize)) {
    t.array[key.value as number] = value;
    return;
  }
  const entry = { key, value, index: t.entries.length };
  t.strong.set(mapKey(key), entry);
  t.entries.push(entry);
}

/** Returns the length that LuaJIT returns: 0, or an index whose value is followed by nil. */
export function luaH_getn(t: Table): number {
  const high = Math.max(t.arraySize - 1, 0);
  if (high > 0 && luaH_getint(t, high).ttisnil()) return border(t, 0, high);
  if (t.entries.length === 0) return high;
  let low = high;
  let probe = high + 1;
  while (!luaH_getint(t, probe).ttisnil()) {
    low = probe;
    probe *= 2;
  }
  return border(t, low, probe);
}

/** Returns a border between `low`, which has a value or is 0, and `high`, which has none. */
function border(t: Table, low: number, high: number): number {
  let from = low;
  let to = high;
  while (to - from > 1) {
    const middle = Math.floor((from + to) / 2);
    if (luaH_getint(t, middle).ttisnil()) to = middle;
    else from = middle;
  }
  return from;
}

/** Removes all that the table holds. */
export function clearTable(t: Table): void {
  t.array = [];
  t.strong = new Map();
  t.entries = [];
}

/** Returns true if the array part holds the keys 1 to `last`, and no higher ones. */
function isRow(t: Table, last: number): boolean {
  return t.array.length === last + 1 && last < t.arraySize;
}

/**
 * Moves the last value to `position`, and the values at and above `position` up by one. Returns
 * false, and moves nothing, if the values are not all in the array part.
 */
export function insertInRow(t: Table, position: number, last: number): boolean {
  if (!isRow(t, last)) return false;
  t.array.splice(position, 0, t.array.pop());
  return true;
}

/**
 * Removes a value, and moves the values above it down by one. Returns false, and removes nothing,
 * if the values are not all in the array part.
 */
export function removeFromRow(t: Table, position: number, last: number): boolean {
  if (!isRow(t, last)) return false;
  t.array.splice(position, 1);
  return true;
}

/**
 * Replaces the key at `index` of the stack with the next key, and puts that key's value above it.
 * Returns false after the last key.
 */
export function luaH_next(L: LuaState, t: Table, index: number): boolean {
  const key = L.stack[index];
  const position = key === undefined ? 0 : positionAfter(L, t, key);
  // Skipping empty positions takes time, for example in a table that is emptied from its beginning.
  const skipped = (to: number) => {
    budget.left -= Math.max(to - position, 0) / SKIPPED;
  };
  for (let n = position; n < t.array.length; n++) {
    const value = t.array[n];
    if (value === undefined || value.ttisnil()) continue;
    skipped(n);
    lobject.setobj2s(L, index, new lobject.TValue(LUA_TNUMFLT, n));
    lobject.setobj2s(L, index + 1, value);
    return true;
  }
  for (let n = Math.max(position - t.arraySize, 0); n < t.entries.length; n++) {
    const entry = t.entries[n];
    if (entry === undefined || entry.value.ttisnil()) continue;
    skipped(t.arraySize + n);
    lobject.setobj2s(L, index, entry.key);
    lobject.setobj2s(L, index + 1, entry.value);
    return true;
  }
  skipped(t.arraySize + t.entries.length);
  return false;
}

/** The cost of moving an entry when a table is rearranged, in instructions. */
const MOVED = 8;

/** The number of positions that can be examined at the cost of one instruction. */
const SKIPPED = 16;

/**
 * Returns the position after a key. Positions count through the array part, then through the
 * entries.
 */
function positionAfter(L: LuaState, t: Table, key: TValue): number {
  if (key.ttisnil()) return 0;
  if (key.ttnov() === LUA_TNUMBER && isIndex(key.value as number, t.arraySize))
    return (key.value as number) + 1;
  const entry = t.strong.get(mapKey(key));
  if (entry === undefined)
    return ldebug.luaG_runerror(L, defs.to_luastring("invalid key to 'next'"));
  return t.arraySize + entry.index + 1;
}
