import { expect, it, vi } from "vitest";

it("a Node without zlib.crc32 is refused at startup", async () => {
  vi.doMock("node:zlib", () => ({ crc32: undefined }));
  await expect(import("./crc32.ts")).rejects.toThrow(
    "has no zlib.crc32: Node 20.19, 22.13 or newer is needed",
  );
});
