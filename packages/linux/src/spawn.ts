/**
 * Starts programs with posix_spawn(3): the memory of the parent is not copied, and no JavaScript
 * runs in the child. The child inherits the namespaces, the credentials and the root directory of
 * the calling thread.
 */
import { environmentAddress } from "./environment.ts";
import { isErrno, SyscallError } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { allocate, allocateNative, beginCall, cString, cStringArray } from "./memory.ts";

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;

/** Room for glibc's opaque types, whose actual sizes are 336, 80 and 128 bytes on x86-64. */
const ATTRIBUTES_BYTES = 512;
const FILE_ACTIONS_BYTES = 128;
const SIGSET_BYTES = 128;

const O_RDONLY = 0;
const O_RDWR = 2;

const libc = {
  spawn: intFunction("posix_spawn", 6),
  attrInit: intFunction("posix_spawnattr_init", 1),
  attrDestroy: intFunction("posix_spawnattr_destroy", 1),
  attrSetFlags: intFunction("posix_spawnattr_setflags", 2),
  attrSetSigDefault: intFunction("posix_spawnattr_setsigdefault", 2),
  attrSetSigMask: intFunction("posix_spawnattr_setsigmask", 2),
  actionsInit: intFunction("posix_spawn_file_actions_init", 1),
  actionsDestroy: intFunction("posix_spawn_file_actions_destroy", 1),
  actionsAddOpen: intFunction("posix_spawn_file_actions_addopen", 5),
  actionsAddDup2: intFunction("posix_spawn_file_actions_adddup2", 3),
  actionsAddCloseFrom: intFunction("posix_spawn_file_actions_addclosefrom_np", 2),
};

/** The options for a program to be started. */
export interface SpawnOptions {
  /** The path of the program; PATH is not searched. */
  readonly path: string | Buffer;
  readonly argv: readonly (string | Buffer)[];
  /**
   * The complete environment as `NAME=value`; if it is undefined, the child gets that of this
   * process, byte for byte.
   */
  readonly environment?: readonly string[] | undefined;
  /**
   * The descriptors of this process that become 0, 1, 2 and so on in the child; "null" stands for
   * /dev/null.
   */
  readonly stdio: readonly (number | "null")[];
  /** True to start it in a session of its own, so that signals of the terminal do not reach it. */
  readonly newSession?: boolean;
}

/** Throws if a function failed; for functions that return an errno instead of -1. */
function checkSpawn(errno: number, syscall: string, path: string | Buffer): void {
  if (errno !== 0) throw new SyscallError(syscall, Math.abs(errno), { path: String(path) });
}

/**
 * A program that is started again and again with different arguments: everything else is prepared
 * once. It starts with default signal dispositions, no blocked signals, and no descriptors other
 * than `stdio`. Its owner closes it.
 */
export class PreparedSpawn {
  readonly #path: string | Buffer;
  readonly #environment: readonly string[] | undefined;
  readonly #attributes = allocateNative(ATTRIBUTES_BYTES);
  readonly #actions = allocateNative(FILE_ACTIONS_BYTES);

  /** @throws SyscallError */
  constructor({ path, environment, stdio, newSession = false }: Omit<SpawnOptions, "argv">) {
    this.#path = path;
    this.#environment = environment;
    const attributes = this.#attributes.address;
    checkSpawn(libc.attrInit(attributes), "posix_spawnattr_init", path);
    checkSpawn(libc.actionsInit(this.#actions.address), "posix_spawn_file_actions_init", path);
    try {
      beginCall();
      const flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
      const all = newSession ? flags | POSIX_SPAWN_SETSID : flags;
      checkSpawn(libc.attrSetFlags(attributes, all), "posix_spawnattr_setflags", path);
      // sigfillset(3) would leave out the two signals that glibc itself uses; posix_spawn(3) would
      // then ignore them in the child.
      const signals = allocate(SIGSET_BYTES);
      signals.bytes.fill(0xff);
      const setDefault = libc.attrSetSigDefault(attributes, signals.address);
      checkSpawn(setDefault, "posix_spawnattr_setsigdefault", path);
      const noSignals = allocate(SIGSET_BYTES).address;
      checkSpawn(libc.attrSetSigMask(attributes, noSignals), "posix_spawnattr_setsigmask", path);
      addStdio(this.#actions.address, stdio, path);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Starts the program. The caller reaps it (wait.ts).
   * @returns its pid in the caller's PID namespace
   * @throws SyscallError, also if the program cannot be executed
   */
  start(argv: readonly (string | Buffer)[]): number {
    const environment = this.#environment === undefined ? environmentAddress() : 0;
    beginCall();
    const pid = allocate(4);
    const result = libc.spawn(
      pid.address,
      cString(this.#path),
      this.#actions.address,
      this.#attributes.address,
      cStringArray(argv),
      this.#environment === undefined ? environment : cStringArray(this.#environment),
    );
    checkSpawn(result, "posix_spawn", this.#path);
    return pid.bytes.readInt32LE();
  }

  /** Frees the memory that libc has allocated. The program can then no longer be started. */
  close(): void {
    libc.actionsDestroy(this.#actions.address);
    libc.attrDestroy(this.#attributes.address);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Starts a program in the same way as PreparedSpawn, but only once. The caller reaps it.
 * @returns its pid
 * @throws SyscallError, also if the program cannot be executed
 */
export function spawn({ argv, ...options }: SpawnOptions): number {
  using prepared = new PreparedSpawn(options);
  return prepared.start(argv);
}

/**
 * Starts a program like `spawn`. If the kernel does not recognise the file as a program, the
 * shell runs it, as with execvp(3).
 */
export function spawnOrShell(options: SpawnOptions): number {
  try {
    return spawn(options);
  } catch (error) {
    if (!isErrno(error, "ENOEXEC")) throw error;
    const path = "/bin/sh";
    return spawn({ ...options, path, argv: [path, options.path, ...options.argv.slice(1)] });
  }
}

/**
 * Adds file actions that set up the descriptors of `stdio`, and close all others. The targets are
 * set up in ascending order, and none may overwrite a descriptor that is needed later, so each
 * source has to lie above all targets or be its own target already.
 */
function addStdio(
  actions: number,
  stdio: readonly (number | "null")[],
  path: string | Buffer,
): void {
  const devNull = cString("/dev/null");
  for (const [target, source] of stdio.entries()) {
    if (source === "null") {
      const mode = target === 0 ? O_RDONLY : O_RDWR;
      const result = libc.actionsAddOpen(actions, target, devNull, mode, 0);
      checkSpawn(result, "posix_spawn_file_actions_addopen", path);
    } else {
      if (source !== target && source < stdio.length)
        throw new RangeError("a descriptor to be inherited lies among the targets");
      const result = libc.actionsAddDup2(actions, source, target);
      checkSpawn(result, "posix_spawn_file_actions_adddup2", path);
    }
  }
  const result = libc.actionsAddCloseFrom(actions, stdio.length);
  checkSpawn(result, "posix_spawn_file_actions_addclosefrom_np", path);
}
