import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as protocol } from "../fuzz/protocol.ts";

testSubjects(protocol);
