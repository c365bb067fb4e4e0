/** The objects that scripts get: a released cgroup, its parents, extended attributes. */
import { closeSync, constants, openSync } from "node:fs";
import { type CgroupSnapshot, scriptAttributes } from "@cm4all/cgroup";
import {
  type ByteString,
  bufferOf,
  bytesOf,
  bytesOfLatin1,
  concatBytes,
  latin1Of,
  nodePathOf,
  splitPath,
  tryGetXattr,
} from "@cm4all/linux";
import { systemErrorText } from "../compat/system-error.ts";
import {
  argumentError,
  type LuaState,
  lua,
  pushByteString,
  pushText,
  pushValue,
  raise,
  raisePlain,
  setFunctions,
  toText,
  typeName,
} from "../lua.ts";
import { checkObject, newClass, pushObject } from "../userdata.ts";
import type { Task } from "./task.ts";

const CGROUP = "cgroup_info";
const XATTR = "xattr";

/** One cgroup as a script sees it, valid until its task ends. */
class CgroupObject {
  readonly path: ByteString;
  readonly task: Task;
  /** The measured figures; undefined of a parent. */
  readonly snapshot: CgroupSnapshot | undefined;
  readonly root: ByteString;
  isStale = false;

  constructor(path: ByteString, task: Task, root: ByteString, snapshot?: CgroupSnapshot) {
    this.path = path;
    this.task = task;
    this.root = root;
    this.snapshot = snapshot;
    task.own(this);
  }

  close(): void {
    this.isStale = true;
  }
}

/** The extended attributes of a cgroup's directory, read anew each time. */
class XattrObject {
  readonly #fd: number;
  isStale = false;

  /** @throws the error of open(2) */
  constructor(directory: ByteString, task: Task) {
    this.#fd = openSync(nodePathOf(directory), constants.O_RDONLY | constants.O_DIRECTORY);
    task.own(this);
  }

  tryGet(name: ByteString): Buffer | undefined {
    try {
      return tryGetXattr(this.#fd, bufferOf(name));
    } catch {
      // Not readable for us (EPERM), or no possible name: for scripts it is not there.
      return undefined;
    }
  }

  close(): void {
    if (this.isStale) return;
    this.isStale = true;
    closeSync(this.#fd);
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
    default:
      pushValue(L, cgroup.snapshot && scriptAttributes.get(key)?.(cgroup.snapshot));
      return 1;
  }
}

/** The root cgroup itself is nobody's parent. */
function pushParent(L: LuaState, cgroup: CgroupObject): number {
  const { directory } = splitPath(cgroup.path);
  if (latin1Of(directory) === "") {
    lua.lua_pushnil(L);
    return 1;
  }
  return pushCached(L, 1, "parent", () => {
    pushObject(L, new CgroupObject(directory, cgroup.task, cgroup.root), CGROUP);
  });
}

function pushXattr(L: LuaState, cgroup: CgroupObject): number {
  return pushCached(L, 1, "xattr", () => {
    const directory = concatBytes(cgroup.root, cgroup.path);
    let xattr: XattrObject;
    try {
      xattr = new XattrObject(directory, cgroup.task);
    } catch (error) {
      raisePlain(
        L,
        `Failed to open "${latin1Of(cgroup.path).slice(1)}": ${systemErrorText(error)}`,
      );
    }
    pushObject(L, xattr, XATTR);
  });
}

/** What `make` pushed the first time, kept in the userdata's own table. */
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

/** A name without a dot is one of the namespace `user`. */
function indexXattr(L: LuaState): number {
  const xattr = checkObject<XattrObject>(L, 1, XATTR);
  const key = keyArgument(L);
  if (xattr.isStale) return raise(L, "Stale object");
  const name = key.includes(".") || key.length >= 1024 ? key : `user.${key}`;
  const value = xattr.tryGet(bytesOfLatin1(name));
  if (value === undefined) lua.lua_pushnil(L);
  else pushByteString(L, bytesOf(value));
  return 1;
}

function close(className: string) {
  return (L: LuaState): number => {
    checkObject<CgroupObject | XattrObject>(L, 1, className).close();
    return 0;
  };
}

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

/** Pushes the argument of a handler. @param root where cgroup2 is mounted */
export function pushCgroup(
  L: LuaState,
  snapshot: CgroupSnapshot,
  task: Task,
  root: ByteString,
): void {
  pushObject(L, new CgroupObject(snapshot.path, task, root, snapshot), CGROUP);
}
