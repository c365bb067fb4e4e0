import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as conninfo } from "../fuzz/conninfo.ts";
import { subject as host } from "../fuzz/host.ts";

testSubjects(conninfo, host);
