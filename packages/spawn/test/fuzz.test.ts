import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as control } from "../fuzz/control.ts";
import { subject as metrics } from "../fuzz/metrics.ts";
import { subject as passwd } from "../fuzz/passwd.ts";
import { subject as store } from "../fuzz/store.ts";
import { subject as toml } from "../fuzz/toml.ts";

testSubjects(control, metrics, passwd, store, toml);
