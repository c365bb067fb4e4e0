import { testConfig } from "@cm4all/dev/vitest";

export default testConfig(["test/requests.test.ts"]);
