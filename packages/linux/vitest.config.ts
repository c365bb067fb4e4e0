import { testConfig } from "@cm4all/dev/vitest";

export default testConfig(["test/{calls,files,namespaces,rtnetlink,sockets}.test.ts"]);
