/**
 * The messages of rtnetlink(7) for the ports of a bridge, each with the command of ip(8) or
 * bridge(8) that does the same. Pure.
 *
 * @see the kernel's include/uapi/linux/if_bridge.h, if_link.h
 */
import { ByteWriter } from "../bytes.ts";
import { attribute, NLM_F_ACK, NLM_F_REQUEST, nestedAttribute, u8Attribute } from "./message.ts";
import {
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  interfaceMessage,
  RTM_DELLINK,
  RTM_NEWLINK,
  type RtnetlinkRequest,
} from "./rtnetlink.ts";

const RTM_SETLINK = 19;
const AF_BRIDGE = 7;
const IFLA_AF_SPEC = 26;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_BRIDGE_VLAN_INFO = 2;
const BRIDGE_VLAN_INFO_PVID = 2;
const BRIDGE_VLAN_INFO_UNTAGGED = 4;

const flags = NLM_F_REQUEST | NLM_F_ACK;

/**
 * Returns the request for `ip link set dev PORT type bridge_slave isolated on`: the port cannot
 * reach other isolated ports.
 */
export function isolateBridgePort(index: number): RtnetlinkRequest {
  const payload = Buffer.concat([
    interfaceMessage(index),
    nestedAttribute(
      IFLA_LINKINFO,
      attribute(IFLA_INFO_KIND, Buffer.from("bridge_slave")),
      nestedAttribute(IFLA_INFO_SLAVE_DATA, u8Attribute(IFLA_BRPORT_ISOLATED, 1)),
    ),
  ]);
  const args = { index, isolated: "on" };
  return { name: "RTM_NEWLINK", args, type: RTM_NEWLINK, flags, payload };
}

/** struct bridge_vlan_info: 0 u16 flags, 2 u16 VLAN id */
function vlanInfo(vlanFlags: number, id: number): Buffer {
  const info = new ByteWriter(4).u16(vlanFlags).u16(id).finish();
  return nestedAttribute(IFLA_AF_SPEC, attribute(IFLA_BRIDGE_VLAN_INFO, info));
}

/**
 * Returns the request for `bridge vlan add dev PORT vid ID [pvid untagged]`.
 * @param untagged true if frames without a tag belong to this VLAN, in both directions
 */
export function addBridgeVlan(index: number, id: number, untagged: boolean): RtnetlinkRequest {
  const vlanFlags = untagged ? BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED : 0;
  const payload = Buffer.concat([
    interfaceMessage(index, 0, 0, AF_BRIDGE),
    vlanInfo(vlanFlags, id),
  ]);
  const args = { index, vlan: id };
  return { name: "RTM_SETLINK", args, type: RTM_SETLINK, flags, payload };
}

/** Returns the request for `bridge vlan delete dev PORT vid ID`. */
export function deleteBridgeVlan(index: number, id: number): RtnetlinkRequest {
  const payload = Buffer.concat([interfaceMessage(index, 0, 0, AF_BRIDGE), vlanInfo(0, id)]);
  const args = { index, vlan: id };
  return { name: "RTM_DELLINK", args, type: RTM_DELLINK, flags, payload };
}
