/**
 * The objects that scripts get: a cgroup, its parents, extended attributes. All their values are
 * from the record: when a script runs, the path may lead to nothing, or to a later cgroup.
 */
import { type CgroupRecord, scriptAttributes, type XattrTable } from "@cm4all/cgroup";
import { type ByteString, latin1Of, splitPath } from "@cm4all/linux";
import {
  argumentError,
  type LuaState,
  lua,
  pushByteString,
  pushText,
  pushValue,
  raise,
  setFunctions,
  toText,
  typeName,
} from "../lua.ts";
import { checkObject, newClass, pushObject } from "../userdata.ts";
import type { Task } from "./task.ts";

const CGROUP = "cgroup_info";
const XATTR = "xattr";

/** A longer value reads as nil, as with the original daemon. */
const MAX_XATTR_BYTES = 4096;

/** A cgroup as a script sees it, valid until its task ends. */
class CgroupObject {
  readonly path: ByteString;
  readonly task: Task;
  readonly record: CgroupRecord;
  /** The number of levels above the cgroup that was measured; only level 0 has figures. */
  readonly level: number;
  isStale = false;

  constructor(record: CgroupRecord, path: ByteString, level: number, task: Task) {
    this.record = record;
    this.path = path;
    this.level = level;
    this.task = task;
    task.own(this);
  }

  close(): void {
    this.isStale = true;
  }
}

/** The extended attributes of a cgroup's directory as they were when it was measured. */
class XattrObject {
  readonly #table: XattrTable;
  isStale = false;

  constructor(table: XattrTable, task: Task) {
    this.#table = table;
    task.own(this);
  }

  /** @param wanted has a character for each byte */
  tryGet(wanted: string): ByteString | undefined {
    const value = this.#table.find(([name]) => latin1Of(name) === wanted)?.[1];
    if (value === undefined || latin1Of(value).length > MAX_XATTR_BYTES) return undefined;
    return value;
  }

  close(): void {
    this.isStale = true;
  }
}

function keyArgument(L: LuaState): string {
  const key = toText(L, 2);
  return key ?? argumentError(L, 2, `string expected, got ${typeName(L, 2)}`);
}

function indexCgroup(L: LuaState): number {
  const cgroup = checkObject<CgroupObject>(L, 1, CGROUP);
  const key = keyArgument(L);
  if (cgroup.isStale) return raise(L, "Stale object");
  switch (key) {
    case "path":
      pushByteString(L, cgroup.path);
      return 1;
    case "parent":
      return pushParent(L, cgroup);
    case "xattr":
      return pushXattr(L, cgroup);
    default: {
      const attribute = cgroup.level === 0 ? scriptAttributes.get(key) : undefined;
      pushValue(L, attribute?.(cgroup.record.snapshot));
      return 1;
    }
  }
}

/** Pushes the parent, or nil: the root cgroup is not returned as a parent. */
function pushParent(L: LuaState, { record, path, level, task }: CgroupObject): number {
  const { directory } = splitPath(path);
  if (latin1Of(directory) === "") {
    lua.lua_pushnil(L);
    return 1;
  }
  return pushCached(L, 1, "parent", () => {
    pushObject(L, new CgroupObject(record, directory, level + 1, task), CGROUP);
  });
}

function pushXattr(L: LuaState, { record, level, task }: CgroupObject): number {
  return pushCached(L, 1, "xattr", () => {
    pushObject(L, new XattrObject(record.xattrs[level] ?? [], task), XATTR);
  });
}

/** Pushes the value that `make` pushes at the first call; the userdata's own table keeps it. */
function pushCached(L: LuaState, index: number, name: string, make: () => void): number {
  if (lua.lua_getuservalue(L, index) !== lua.LUA_TTABLE) {
    lua.lua_pop(L, 1);
    lua.lua_newtable(L);
    lua.lua_pushvalue(L, -1);
    lua.lua_setuservalue(L, index);
  }
  pushText(L, name);
  if (lua.lua_rawget(L, -2) === lua.LUA_TNIL) {
    lua.lua_pop(L, 1);
    make();
    pushText(L, name);
    lua.lua_pushvalue(L, -2);
    lua.lua_rawset(L, -4);
  }
  return 1;
}

/** Pushes the value of an attribute. A name without a dot is in the namespace `user`. */
function indexXattr(L: LuaState): number {
  const xattr = checkObject<XattrObject>(L, 1, XATTR);
  const key = keyArgument(L);
  if (xattr.isStale) return raise(L, "Stale object");
  const value = xattr.tryGet(key.includes(".") ? key : `user.${key}`);
  if (value === undefined) lua.lua_pushnil(L);
  else pushByteString(L, value);
  return 1;
}

function close(className: string) {
  return (L: LuaState): number => {
    checkObject<CgroupObject | XattrObject>(L, 1, className).close();
    return 0;
  };
}

/** Makes the classes of cgroups and of their extended attributes. */
export function openCgroup(L: LuaState): void {
  for (const [className, __index] of [
    [CGROUP, indexCgroup],
    [XATTR, indexXattr],
  ] as const) {
    newClass(L, className, { __index });
    setFunctions(L, { __close: close(className), __gc: close(className) });
    lua.lua_pop(L, 1);
  }
}

/** Pushes a cgroup, valid until the task ends. */
export function pushCgroup(L: LuaState, record: CgroupRecord, task: Task): void {
  pushObject(L, new CgroupObject(record, record.snapshot.path, 0, task), CGROUP);
}

/** Pushes an array of cgroups. */
export function pushCgroups(L: LuaState, records: readonly CgroupRecord[], task: Task): void {
  lua.lua_createtable(L, records.length, 0);
  records.forEach((record, i) => {
    pushCgroup(L, record, task);
    lua.lua_rawseti(L, -2, i + 1);
  });
}
