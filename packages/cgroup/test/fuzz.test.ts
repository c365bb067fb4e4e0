import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as cgroup } from "../fuzz/cgroup.ts";

testSubjects(cgroup);
