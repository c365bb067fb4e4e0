import { describe, expect, it } from "vitest";
import { findService, numericAddress, parseAddress } from "./address.ts";
import { ControlPacket } from "./control-packet.ts";

describe("parseAddress", () => {
  const shown = (text: string, port = 5478) => numericAddress(parseAddress(text), port)?.text;
  it.each([
    ["192.168.0.2", "192.168.0.2:5478"],
    ["192.168.0.2:80", "192.168.0.2:80"],
    ["1.2.3.4:", "1.2.3.4"],
    ["1.2.3.4:65537", "1.2.3.4:1"],
    ["::1", "[::1]:5478"],
    ["[::1]:4321", "[::1]:4321"],
    ["[::1]", "[::1]:5478"],
    ["::1%lo", "[::1%lo]:5478"],
    ["[fe80::1%lo]:5", "[fe80::1%lo]:5"],
    ["[::ffff:1.2.3.4]:7", "1.2.3.4:7"],
    ["ff02::dead:beef", "[ff02::dead:beef]:5478"],
    ["/run/x.sock", "/run/x.sock"],
    ["@abs", "@abs"],
    ["*", "[::1]:5478"],
  ])("reads %s as %s", (text, expected) => {
    expect(shown(text)).toBe(expected);
  });
  it("leaves out port 0, and the brackets with it", () => {
    expect([shown("::1", 0), shown("1.2.3.4", 0)]).toEqual(["::1", "1.2.3.4"]);
  });
  it.each([
    ["", "Failed to extract host name"],
    [":80", "Failed to extract host name"],
    ["a b", "Garbage after host name"],
    ["foo_bar", "Garbage after host name"],
    ["::ffff:1.2.3.4", "Garbage after host name"],
    ["::1%nosuch0", "No such interface: nosuch0"],
    ["::1:no-such-service:x", "Garbage after host name"],
    ["1.2.3.4:no-such-service", 'Failed to resolve port "no-such-service"'],
    [`/${"x".repeat(200)}`, "a socket address must have 1 to 107 bytes"],
    ["x".repeat(300), "Host name too long"],
  ])("refuses %s", (text, message) => {
    expect(() => shown(text)).toThrow(message);
  });
  it("leaves names to the resolver", () => {
    expect(parseAddress("db.example:7")).toEqual({
      kind: "host",
      host: "db.example",
      port: "7",
      scope: undefined,
    });
    expect(shown("db.example")).toBeUndefined();
  });
});

it("finds services by name and alias", () => {
  const services = "# comment\nhttp\t80/tcp\twww # WorldWideWeb\nsmtp 25/tcp mail\n";
  expect([
    findService(services, "www"),
    findService(services, "smtp"),
    findService(services, "x"),
  ]).toEqual([80, 25, undefined]);
});

describe("ControlPacket", () => {
  const hex = (...commands: [number, string][]) => {
    const packet = new ControlPacket();
    for (const [command, payload] of commands) packet.append(command, payload);
    return packet.bytes.toString("hex");
  };
  it("encodes the test vectors of the protocol", () => {
    expect(hex()).toBe("63046101");
    expect(hex([15, "bar"], [8, "foo"])).toBe("630461010003000f6261720000030008666f6f00");
    expect(hex([25, "part\0job1"])).toBe("630461010009001970617274006a6f6231000000");
    expect(hex([8, "a"], [8, "bb"], [8, "ccc"], [8, "dddd"], [8, ""])).toBe(
      "630461010001000861000000000200086262000000030008636363000004000864646464" + "00000008",
    );
  });
});
