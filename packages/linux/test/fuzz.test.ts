import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as netlink } from "../fuzz/netlink.ts";

testSubjects(netlink);
