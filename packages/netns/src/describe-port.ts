/** The bridge port that a description can make of the host's end of a veth pair. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import { readLinkName, readVlanId } from "./describe-end.ts";
import type { BridgePort, Located } from "./description.ts";
import type { Mistakes } from "./mistakes.ts";

/** Reads the settings of a bridge port; returns undefined if the link is not a port of a bridge. */
export function readPort(table: TomlTable, mistakes: Mistakes): Located<BridgePort> | undefined {
  const bridge = mistakes.collect(() => readLinkName(table, "bridge"));
  const vlan = mistakes.collect(() => readVlanId(table, "vlan"));
  const taggedVlans =
    mistakes.collect(() => table.integers("tagged_vlans", { min: 1, max: 4094 })) ?? [];
  const isolated = mistakes.collect(() => table.boolean("isolated")) ?? false;
  if (bridge === undefined) {
    for (const key of ["vlan", "tagged_vlans", "isolated"])
      if (table.keys().includes(key) && !table.keys().includes("bridge"))
        mistakes.found.push(table.error(key, "is a setting of a bridge's port: which bridge?"));
    return undefined;
  }
  if (vlan !== undefined && taggedVlans.includes(vlan))
    mistakes.found.push(table.error("tagged_vlans", `${vlan} is the VLAN without a tag`));
  const origin = `${table.file}:${table.lineOf("bridge")}`;
  return { value: { bridge, vlan, taggedVlans, isolated }, origin };
}
