/** Replaces `addresses = "auto"` with addresses from the pool. Pure. */
import { AF_INET, type IpPrefix } from "@cm4all/linux";
import type { Description, EndDescription, Located, VethDescription } from "./description.ts";
import { endsOf } from "./pool.ts";

/** Returns true if a link asks for addresses from the pool. */
export const hasAuto = ({ links }: Description): boolean =>
  links.some((link) => link.type === "veth" && link.auto !== undefined);

/**
 * Returns the description with the addresses filled in.
 * @param networks for each link with "auto", in the order of the links: one network of each family
 * that has a pool
 */
export function fillIn(description: Description, networks: readonly IpPrefix[][]): Description {
  const left = [...networks];
  const links = description.links.map((link) =>
    link.type === "veth" && link.auto !== undefined
      ? fillInLink(link, link.auto, left.shift() ?? [])
      : link,
  );
  return { ...description, links };
}

function fillInLink(
  link: VethDescription,
  origin: string,
  networks: readonly IpPrefix[],
): VethDescription {
  const ends = networks.map(endsOf);
  const locate = <T>(value: T): Located<T> => ({ value, origin });
  const gateways = ends.map(({ outside: { address } }) => ({
    destination: {
      address: { family: address.family, bytes: Buffer.alloc(address.bytes.length) },
      prefixLength: 0,
    },
    gateway: address,
  }));
  const families = networks.map(({ address }) => (address.family === AF_INET ? "ipv4" : "ipv6"));
  const { masquerade } = link;
  return {
    ...link,
    inside: withAddresses(
      { ...link.inside, routes: [...link.inside.routes, ...gateways.map(locate)] },
      ends.map(({ inside }) => locate(inside)),
    ),
    outside: withAddresses(
      link.outside,
      ends.map(({ outside }) => locate(outside)),
    ),
    masquerade: masquerade && {
      ...masquerade,
      value: masquerade.value.filter((family) => families.includes(family)),
    },
  };
}

const withAddresses = (
  end: EndDescription,
  addresses: readonly Located<IpPrefix>[],
): EndDescription => ({ ...end, addresses: [...end.addresses, ...addresses] });
