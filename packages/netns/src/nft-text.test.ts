import { expect, it } from "vitest";
import { formatRules } from "./nft-text.ts";
import { TABLE_PREFIX } from "./rules.ts";

const filter = {
  place: "outside",
  incoming: "closed",
  outgoing: "closed",
  acceptIncoming: [],
  acceptOutgoing: [],
  origin: "f:1",
} as const;

it("filters nothing on the host that does not pass through a link of the namespace", () => {
  const link = { link: "web", masquerade: [], publish: [] };
  for (const links of [[], [link]]) {
    const rules = { table: `${TABLE_PREFIX}web`, side: "outside", links, filter } as const;
    const text = formatRules(rules, () => 7);
    const jumps = text.split("\n").filter((line) => line.includes("jump"));
    expect(jumps).toHaveLength(4);
    const set = links.length > 0 ? "{ 7 }" : "{  }";
    for (const jump of jumps) expect(jump).toMatch(new RegExp(`^\\t\\t[io]if ${set} jump `));
  }
});
