import { testSubjects } from "@cm4all/testing/fuzz-test";
import { subject as journal } from "../fuzz/journal.ts";

testSubjects(journal);
