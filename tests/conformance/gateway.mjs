// What the checks in this directory share: where the gateway is, a way to change its database behind its back, and how
// outcomes are told. `run` sets the environment.

import { randomBytes } from "node:crypto";
import Database from "better-sqlite3";

/** Where the gateway listens, such as http://127.0.0.1:8080. */
export const address = process.env.GATEWAY;
/** A token of an admin. */
export const token = process.env.TOKEN;

/** A subscription to the figures that `addCall` changes. */
export const tenantStats = `subscription ($tenant: ID!) { tenantStats(tenantId: $tenant) { tenantId lastCallAt } }`;

/** What the gateway answers to a query. */
export async function ask(query) {
  const response = await fetch(`${address}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ query }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** A tenant that can have calls, by its id. */
export async function findTenant() {
  const { tenants } = await ask("{ tenants { nodes { id stats { totalAgents } } } }");
  return tenants.nodes.find((tenant) => tenant.stats.totalAgents > 0).id;
}

/** Inserts a call that starts now, as the platform's other services do, and returns its start. */
export function addCall(tenantId) {
  const database = new Database(process.env.DATABASE, { fileMustExist: true });
  try {
    database.pragma("foreign_keys = ON");
    const tenant = Buffer.from(tenantId.replaceAll("-", ""), "hex");
    const agent = database.prepare("SELECT id FROM agents WHERE tenant_id = ? LIMIT 1").pluck().get(tenant);
    const startedAt = new Date();
    database
      .prepare(
        `INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at)
         VALUES (?, ?, ?, 'inbound', 'in_progress', ?)`,
      )
      .run(tenant, randomBytes(16), agent, startedAt.toISOString().replace("Z", "000Z"));
    return startedAt;
  } finally {
    database.close();
  }
}

/** What `promise` comes to, which must not take longer. */
export async function within(milliseconds, promise) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

const failed = [];
let count = 0;

/** Carries out one check and tells how it went. */
export async function check(name, run) {
  count += 1;
  try {
    await within(30_000, run());
    console.log(`ok      ${name}`);
  } catch (error) {
    failed.push(name);
    console.log(`FAILED  ${name}\n${String(error?.message ?? error).replace(/^/gm, "        ")}`);
  }
}

/** Ends the process, also where a connection is left. */
export function finish() {
  console.log(`${count - failed.length} of ${count} hold`);
  process.exit(failed.length || !count ? 1 : 0);
}
