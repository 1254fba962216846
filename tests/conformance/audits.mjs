// The audits of graphql-http, the reference implementation of the GraphQL over HTTP specification: what the gateway
// must, should and may do at /graphql. All of them have to pass, those that are only recommended or optional too.

import { serverAudits } from "graphql-http";
import { address, check, finish, token } from "./gateway.mjs";

const url = `${address}/graphql`;

function fetchFn(input, init = {}) {
  return fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
}

// `response` may have been read; the same request is not at hand, so what is left of the answer is shown.
async function answered(response) {
  const type = response.headers.get("content-type");
  const body = response.bodyUsed ? "(its body was read by the audit)" : await response.text();
  return `${response.status} ${type} ${body}`;
}

const audits = serverAudits({ url, fetchFn });
// Another version may have others, which is to be seen.
await check("there are 61 audits", async () => {
  if (audits.length !== 61) throw new Error(`there are ${audits.length}`);
});

for (const { id, name, fn } of audits) {
  await check(`${id} ${name}`, async () => {
    const { status, reason, response } = await fn();
    if (status !== "ok") throw new Error(`${status}: ${reason}\nthe gateway answered ${await answered(response)}`);
  });
}

finish();
