export type { CgroupSnapshot } from "./snapshot.ts";
