export * from "./bundle.ts";
export * from "./needs.ts";
