import { expect, it } from "vitest";
import { formatMetricsPage } from "../../test/support/metrics-page.ts";

it("the manual page has each declared metric", async () => {
  await expect(formatMetricsPage()).toMatchFileSnapshot(
    "../../../../docs/man/cm4all-spawn-metrics.7",
  );
});
