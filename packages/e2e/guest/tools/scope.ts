/** Stands in for a process spawner: a scope in the slice, with child cgroups of its own. */
import { mkdirSync, openSync } from "node:fs";
import { Fd, setXattr } from "@cm4all/linux";
import { attempt, log, sh, waitFor } from "./shell.ts";
import { isActive, property } from "./systemd.ts";

const UNIT = "bp-spawn.scope";

/** Makes a cgroup in the scope and enables controllers, as a spawner does, and stays in it. */
const SPAWNER = `
  scope=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
  mkdir $scope/spawner
  echo $$ >$scope/spawner/cgroup.procs
  for controller in cpu memory io pids; do
    echo +$controller >$scope/cgroup.subtree_control || true
  done 2>/dev/null
  exec sleep infinity`;

export class Scope {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(slowness: number): Promise<Scope> {
    const options = "--scope --quiet --slice=system-cm4all.slice --unit=bp-spawn -p Delegate=yes";
    sh(`systemd-run ${options} bash -c ${quote(SPAWNER)} >/dev/null 2>&1 </dev/null &`);
    await waitFor("the scope", 10_000 * slowness, () => isActive(UNIT));
    const scope = new Scope(`/sys/fs/cgroup${property(UNIT, "ControlGroup")}`);
    await waitFor(
      "the spawner has a cgroup",
      10_000 * slowness,
      () => attempt(`grep -q . ${scope.directory}/spawner/cgroup.procs`).status === 0,
    );
    log(scope.directory);
    return scope;
  }

  /** Makes a child cgroup that belongs to a customer. `run` can run commands in it. */
  makeOf(customer: string, name: string): void {
    const directory = `${this.directory}/${name}`;
    mkdirSync(directory);
    using opened = new Fd(openSync(directory, "r"));
    setXattr(opened.number, "user.account", Buffer.from(customer));
    log(`${directory}: user.account is ${customer}`);
  }

  /**
   * Runs a command in a child cgroup, which is made if it does not exist, and waits until the
   * command ends.
   * @param settings values for files of the cgroup, such as `memory.max`
   */
  run(name: string, command: string, settings: Readonly<Record<string, string>> = {}): void {
    const directory = `${this.directory}/${name}`;
    const writes = Object.entries(settings).map(([file, value]) => `echo ${value} >${file}`);
    const inside = `echo $$ >${directory}/cgroup.procs; ${command}`;
    attempt(`mkdir -p ${directory} && cd ${directory} && { ${[...writes, ":"].join(" && ")}; } &&
      cd / && bash -c ${quote(inside)}`);
  }

  async waitUntilDeleted(name: string, timeoutMs: number): Promise<void> {
    await waitFor(
      `${name} is deleted`,
      timeoutMs,
      () => attempt(`test -e ${this.directory}/${name}`).status !== 0,
    );
  }

  stop(): void {
    sh(`systemctl stop ${UNIT}`);
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
