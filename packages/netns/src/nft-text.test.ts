import { expect, it } from "vitest";
import { plainVeth } from "./description.ts";
import { formatRules } from "./nft-text.ts";
import { outsideRules, TABLE_PREFIX } from "./rules.ts";

const filter = {
  place: "outside",
  incoming: "closed",
  outgoing: "closed",
  acceptIncoming: [],
  acceptOutgoing: [],
  origin: "f:1",
} as const;

it("filters on the host only what passes through a link of the namespace", () => {
  const link = { link: "web", vlans: [], masquerade: [], publish: [] };
  for (const links of [[], [link]]) {
    const rules = { table: `${TABLE_PREFIX}web`, side: "outside", links, filter } as const;
    const text = formatRules(rules, () => 7);
    const jumps = text.split("\n").filter((line) => line.includes("jump"));
    expect(jumps).toHaveLength(4);
    const set = links.length > 0 ? "{ 7 }" : "{  }";
    for (const jump of jumps) expect(jump).toMatch(new RegExp(`^\\t\\t[io]if ${set} jump `));
  }
});

it("filters what the host receives and sends over a VLAN on its end of a pair", () => {
  const vlan = { id: 7, name: "web.7", addresses: [], routes: [], origin: "f:2" };
  const outside = { addresses: [], routes: [], vlans: [vlan] };
  const rules = outsideRules(
    { links: [{ ...plainVeth, outside }], sysctl: [], firewall: filter },
    "web",
  );
  const indexes: Readonly<Record<string, number>> = { web: 7, "web.7": 8 };
  const text = rules === undefined ? "" : formatRules(rules, (link) => indexes[link] ?? 0);
  expect(text.match(/[io]if .* jump/g)).toEqual([
    "iif { 7, 8 } jump",
    "oif { 7, 8 } jump",
    "iif { 7, 8 } jump",
    "oif { 7, 8 } jump",
  ]);
});
