import { expect, it } from "vitest";
import { formatMetricsPage } from "./support/metrics-page.ts";

it("has each metric that is declared", async () => {
  await expect(formatMetricsPage()).toMatchFileSnapshot("../../../docs/man/cm4all-spawn-metrics.7");
});
