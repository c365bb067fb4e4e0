/**
 * The sections `[control]` and `[metrics]`: the addresses for administrators and for Prometheus.
 */
import type { TomlTable } from "@cm4all/command/toml";
import { parseListenAddress } from "../prometheus/address.ts";

export const DEFAULT_CONTROL_SOCKET = "/run/cm4all-spawn/control.sock";

export interface ControlConfig {
  /** The socket for `cm4all-spawn status` and other commands; empty for none. */
  readonly socket: string;
}

export interface MetricsConfig {
  /** The address for Prometheus: HOST:PORT, or a path; empty for none. */
  readonly listen: string;
}

/** Reads the section `[control]`. @throws ConfigError */
export function readControl(table: TomlTable): ControlConfig {
  const path = table.string("socket") ?? DEFAULT_CONTROL_SOCKET;
  if (path !== "" && !path.startsWith("/"))
    throw table.error("socket", "expected an absolute path, or an empty string for none");
  return { socket: path };
}

/** Reads the section `[metrics]`. @throws ConfigError */
export function readMetrics(table: TomlTable): MetricsConfig {
  const address = table.string("listen") ?? "";
  if (address !== "" && parseListenAddress(address) === undefined)
    throw table.error("listen", "expected HOST:PORT, [IPV6]:PORT or an absolute path");
  return { listen: address };
}
