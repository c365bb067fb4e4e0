export * from "./bundle.ts";
export * from "./cgroup.ts";
export * from "./debugger.ts";
export * from "./needs.ts";
export * from "./open.ts";
export * from "./postgres.ts";
export * from "./proc.ts";
export * from "./unpacked.ts";
