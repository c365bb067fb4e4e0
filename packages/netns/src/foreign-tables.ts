/**
 * Finds foreign nftables tables (tables that are not ours) with a forward chain that drops packets
 * of the namespace. An accept rule in our own table does not help: a packet has to pass each base
 * chain of a hook. Pure.
 * @see nft(8), libnftables-json(5)
 */
import { TABLE_PREFIX } from "./rules.ts";

type Json = Record<string, unknown>;

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly expr: readonly Json[];
}

/** A chain that drops packets, and how to make it accept them. */
export interface Obstacle {
  readonly chain: string;
  /** Commands for the administrator. */
  readonly remedies: readonly string[];
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

const entriesOf = (listed: unknown): unknown[] =>
  isObject(listed) && Array.isArray(listed["nftables"]) ? listed["nftables"] : [];

class Ruleset {
  readonly chains: Chain[] = [];
  readonly #rules: Rule[] = [];

  constructor(listed: readonly unknown[]) {
    for (const entry of listed.flatMap(entriesOf)) {
      if (!isObject(entry)) continue;
      if (isObject(entry["chain"])) this.chains.push(entry["chain"] as unknown as Chain);
      const { rule } = entry;
      if (isObject(rule) && Array.isArray(rule["expr"])) this.#rules.push(rule as unknown as Rule);
    }
  }

  rulesOf({ family, table, name }: Chain): Rule[] {
    return this.#rules.filter(
      (rule) => rule.family === family && rule.table === table && rule.chain === name,
    );
  }

  sibling({ family, table }: Chain, name: string): Chain | undefined {
    return this.chains.find(
      (chain) => chain.family === family && chain.table === table && chain.name === name,
    );
  }
}

/**
 * Returns the foreign tables that filter forwarded packets.
 * @param listed the output of `list chains`
 */
export function forwardingTables(listed: unknown): { family: string; table: string }[] {
  const found = new Ruleset([listed]).chains.filter(isForeign);
  return [...new Map(found.map((chain) => [`${chain.family} ${chain.table}`, chain])).values()];
}

const isForeign = ({ hook, table }: Chain): boolean =>
  hook === "forward" && !table.startsWith(TABLE_PREFIX);

/**
 * Returns the foreign chains that drop packets of a link.
 * @param listed the output of `list table` for each of the `forwardingTables`
 * @param link the host's end of a pair, or a bridge
 */
export function findObstacles(
  listed: readonly unknown[],
  link: string,
  families: readonly ("ipv4" | "ipv6")[],
): Obstacle[] {
  const ruleset = new Ruleset(listed);
  const wanted = new Set(["inet", ...families.map((one) => (one === "ipv4" ? "ip" : "ip6"))]);
  return ruleset.chains
    .filter((chain) => isForeign(chain) && wanted.has(chain.family))
    .filter((chain) => drops(ruleset, chain) && !accepts(ruleset, chain, link, new Set()))
    .map((chain) => ({
      chain: `${chain.family} ${chain.table} ${chain.name}`,
      remedies: remedies(ruleset, chain, link),
    }));
}

const has = (expressions: readonly Json[], key: string): boolean =>
  expressions.some((expression) => key in expression);

/**
 * Returns true if a chain drops packets by its policy, or by a last rule for all remaining packets,
 * as firewalld's chain does.
 */
function drops(ruleset: Ruleset, chain: Chain): boolean {
  if (chain.policy === "drop") return true;
  const last = ruleset.rulesOf(chain).at(-1)?.expr ?? [];
  return !has(last, "match") && (has(last, "drop") || has(last, "reject"));
}

/**
 * Returns true if a rule in the chain, or in a chain that it jumps to, accepts packets of the
 * link.
 */
function accepts(ruleset: Ruleset, chain: Chain, link: string, seen: Set<string>): boolean {
  if (seen.has(chain.name)) return false;
  seen.add(chain.name);
  return ruleset.rulesOf(chain).some(({ expr }) => {
    const matches = expr.filter((expression) => "match" in expression);
    if (has(expr, "accept")) return matches.length === 0 || matches.some((one) => names(one, link));
    const target = expr.flatMap((expression) => targetOf(expression))[0];
    const next = target === undefined ? undefined : ruleset.sibling(chain, target);
    return next !== undefined && accepts(ruleset, next, link, seen);
  });
}

function targetOf(expression: Json): string[] {
  const jump = expression["jump"] ?? expression["goto"];
  return isObject(jump) && typeof jump["target"] === "string" ? [jump["target"]] : [];
}

/** Returns true if an expression matches the link's name, alone or in a set. */
function names(expression: Json, link: string): boolean {
  const { match } = expression;
  if (!isObject(match) || match["op"] !== "==" || !isObject(match["left"])) return false;
  const { meta } = match["left"];
  if (!isObject(meta) || !/^[io]if(name)?$/.test(String(meta["key"]))) return false;
  const right = match["right"];
  const values = isObject(right) && Array.isArray(right["set"]) ? right["set"] : [right];
  return values.some(
    (value) =>
      value === link ||
      (typeof value === "string" && value.endsWith("*") && link.startsWith(value.slice(0, -1))),
  );
}

/** Returns commands that let packets out, and let in answers and packets to published ports. */
function remedies(ruleset: Ruleset, chain: Chain, link: string): string[] {
  const { family, table, name } = chain;
  const iptables = family === "ip6" ? "ip6tables" : "iptables";
  const back = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT";
  const insert = (where: string) => [
    `${iptables} -I ${where} -i ${link} -j ACCEPT`,
    `${iptables} -I ${where} -o ${link} ${back}`,
  ];
  if (table === "firewalld")
    return [
      `firewall-cmd --permanent --zone=trusted --add-interface=${link}`,
      "firewall-cmd --reload",
    ];
  if (ruleset.sibling(chain, "ufw-user-forward") ?? ruleset.sibling(chain, "ufw6-user-forward"))
    return [`ufw route allow in on ${link}`, `ufw route allow out on ${link}`];
  if (ruleset.sibling(chain, "DOCKER-USER")) return insert("DOCKER-USER");
  if (family !== "inet" && table === "filter" && name === "FORWARD") return insert("FORWARD");
  const insertRule = `nft insert rule ${family} ${table} ${name}`;
  return [
    `${insertRule} iifname "${link}" accept`,
    `${insertRule} oifname "${link}" ct state established,related accept`,
    `${insertRule} oifname "${link}" ct status dnat accept`,
  ];
}
