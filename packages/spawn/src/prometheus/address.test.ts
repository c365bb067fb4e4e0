import { expect, it } from "vitest";
import { parseListenAddress } from "./address.ts";

it.each([
  ["/run/x.sock", { path: "/run/x.sock" }],
  ["127.0.0.1:10469", { host: "127.0.0.1", port: 10469 }],
  ["localhost:0", { host: "localhost", port: 0 }],
  ["[::1]:80", { host: "::1", port: 80 }],
  ["::1:80", undefined],
  ["10469", undefined],
  ["host:65536", undefined],
  ["host:", undefined],
  ["", undefined],
])("parseListenAddress(%j)", (text, expected) => {
  expect(parseListenAddress(text)).toEqual(expected);
});
