import assert from "node:assert/strict";
import type { Case, Context } from "../case.ts";
import { attempt, sh } from "../tools/shell.ts";
import { isActive } from "../tools/systemd.ts";
import { CONFIG, EXAMPLES, unitOf } from "./netns-world.ts";

/**
 * Returns the names of the instances: fewer under emulation, where starting twelve at the same time
 * would exceed the time limit that systemd sets for each.
 */
function namesFor({ slowness }: Context): string[] {
  return Array.from({ length: slowness > 4 ? 4 : 12 }, (_, i) => `auto${i}`);
}

const unitsOf = (names: readonly string[]): string => names.map(unitOf).join(" ");

interface Listed {
  readonly name: string;
  readonly state: string;
  readonly problems: readonly string[];
  readonly pool: readonly string[];
}

export const netnsBoot: Case = {
  title: "many instances of a template have addresses from the pool, even after upgrade and reboot",
  run(context) {
    const names = namesFor(context);
    const units = unitsOf(names);
    sh(`cp ${EXAMPLES}/netns.toml /etc/cm4all/spawn/netns.toml`);
    // Masquerading, which default.toml asks for, only causes a warning: there is no default route.
    sh(`cp ${EXAMPLES}/default.toml ${CONFIG}/default.toml`);
    sh(`systemctl enable ${units}; systemctl start ${units}`);
    const before = listed();
    checkAll(before, names);
    sh("apt-get -q -y install /e2e/in/upgrade/*netns*.deb");
    assert.deepEqual(listed(), before);
    sh(`systemctl restart ${unitOf("auto0")}`);
    assert.deepEqual(listed(), before);
    sh("apt-get -q -y --allow-downgrades install /e2e/in/packages/*netns*.deb");
  },
  afterReboot(context) {
    const names = namesFor(context);
    attempt("systemctl is-system-running --wait");
    checkAll(listed(), names);
    sh(`systemctl disable --now ${unitsOf(names)}`);
    assert.deepEqual(listed(), []);
    assert.equal(sh("nft list tables"), "");
    sh(`rm ${CONFIG}/default.toml /etc/cm4all/spawn/netns.toml`);
  },
};

const listed = (): Listed[] =>
  (JSON.parse(sh("cm4all-spawn-netns list --json")) as Listed[]).map(
    ({ name, state, problems, pool }) => ({ name, state, problems, pool }),
  );

function checkAll(found: readonly Listed[], names: readonly string[]): void {
  for (const name of names) assert.ok(isActive(unitOf(name)), name);
  assert.deepEqual(found.map(({ name }) => name).sort(), [...names].sort());
  for (const { state, problems } of found) assert.deepEqual([state, problems], ["complete", []]);
  assert.equal(new Set(found.flatMap(({ pool }) => pool)).size, names.length);
}
