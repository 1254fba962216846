// Subscriptions as Server-Sent Events over /graphql, with the client of graphql-sse, in its distinct connections mode:
// a request for each operation, and nothing that a proxy or a firewall would have to know.

import assert from "node:assert/strict";
import { createClient, NetworkError } from "graphql-sse";
import { addCall, address, check, findTenant, finish, tenantStats, token, within } from "./gateway.mjs";

const tenant = await findTenant();

function connect(authorization = `Bearer ${token}`) {
  return createClient({ url: `${address}/graphql`, headers: { authorization }, retryAttempts: 0 });
}

async function all(results) {
  const found = [];
  for await (const result of results) found.push(result);
  return found;
}

await check("a subscription tells what is, and what changes", async () => {
  const client = connect();
  const results = client.iterate({ query: tenantStats, variables: { tenant } });
  const first = await within(1_000, results.next());
  assert.deepEqual(first.value.errors, undefined);
  assert.equal(first.value.data.tenantStats.tenantId, tenant);
  const startedAt = addCall(tenant);
  const second = await within(3_000, results.next());
  assert.equal(Date.parse(second.value.data.tenantStats.lastCallAt), startedAt.getTime());
  client.dispose();
});

await check("a query is answered and completes", async () => {
  const results = await within(3_000, all(connect().iterate({ query: "{ viewer { role } }" })));
  assert.deepEqual(results, [{ data: { viewer: { role: "ADMIN" } } }]);
});

await check("a document that is not valid is answered by its errors alone, and completes", async () => {
  const [result, ...more] = await within(3_000, all(connect().iterate({ query: "{ nothing }" })));
  assert.equal(result.errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  assert.ok(!("data" in result), `what was not executed has no data, not even null: ${JSON.stringify(result)}`);
  assert.deepEqual(more, []);
});

await check("a token that is not accepted is refused with 401, before any event", async () => {
  const error = await connect("Bearer wrong").iterate({ query: "{ viewer { role } }" }).next().catch((error) => error);
  assert.ok(error instanceof NetworkError, String(error));
  assert.equal(error.response.status, 401);
});

finish();
