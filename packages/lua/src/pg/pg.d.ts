/** The module that node-postgres has its client in; without the pool and the rest. */
declare module "pg/lib/client.js" {
  import { Client } from "pg";
  export default Client;
}
