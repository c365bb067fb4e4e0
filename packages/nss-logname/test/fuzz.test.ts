import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as nsswitch } from "../fuzz/nsswitch.ts";

testSubjects(nsswitch);
