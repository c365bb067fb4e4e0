import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { MetricsEndpoint } from "./endpoint.ts";

const failures = vi.hoisted(() => ({ left: 1 }));

vi.mock(import("./exposition.ts"), async (importOriginal) => {
  const { Exposition } = await importOriginal();
  class FailingExposition extends Exposition {
    constructor(readStatus: ConstructorParameters<typeof Exposition>[0]) {
      if (failures.left-- > 0) throw new Error("out of descriptors");
      super(readStatus);
    }
  }
  return { Exposition: FailingExposition };
});

it("the metrics are served even if prom-client could not be loaded at first", async () => {
  const directory = mkdtempSync(join(tmpdir(), "metrics-endpoint-"));
  const endpoint = new MetricsEndpoint(
    () => Promise.reject(new Error("unused")),
    () => {},
  );
  try {
    const address = join(directory, "socket");
    endpoint.configure(address);
    await vi.waitFor(() => expect(endpoint.status?.problem).toBe("out of descriptors"), 10_000);
    endpoint.configure(address);
    await vi.waitFor(() => expect(endpoint.status?.isListening).toBe(true), 10_000);
  } finally {
    endpoint.close();
    rmSync(directory, { recursive: true });
  }
});
