import { readFileSync } from "node:fs";
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import { expect, it } from "vitest";

const unit = new URL("../../../../../systemd/cm4all-spawn.service", import.meta.url);

it("the service unit allows namespaces of each kind and mount namespaces, but no others", () => {
  const [, value = ""] = /^RestrictNamespaces=(.*)$/m.exec(readFileSync(unit, "utf8")) ?? [];
  // The store is in a mount namespace.
  const kinds = [...NAMESPACE_KINDS.map(({ kind }) => kind), "mnt"];
  expect(value.split(" ").sort()).toEqual(kinds.sort());
});
