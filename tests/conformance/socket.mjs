// Subscriptions over /graphql/ws, with the client of graphql-ws, whose authors wrote the protocol
// graphql-transport-ws; and that the gateway closes a socket whose client breaks the protocol, with the code that the
// protocol names for it. A wrong client must not be left guessing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createClient, GRAPHQL_TRANSPORT_WS_PROTOCOL, parseMessage } from "graphql-ws";
import WebSocket from "ws";
import { addCall, address, check, findTenant, finish, tenantStats, token, within } from "./gateway.mjs";

const url = `${address.replace("http", "ws")}/graphql/ws`;
const tenant = await findTenant();

const init = { type: "connection_init", payload: { Authorization: `Bearer ${token}` } };
const subscribe = { type: "subscribe", id: "one", payload: { query: tenantStats, variables: { tenant } } };

function connect(Authorization = `Bearer ${token}`) {
  return createClient({ url, webSocketImpl: WebSocket, connectionParams: { Authorization }, retryAttempts: 0 });
}

/** A message as the package reads it: it is strict about what a gateway may send, too. */
function read(text) {
  try {
    return parseMessage(text);
  } catch (error) {
    return { unreadable: text, error: error.message };
  }
}

/** A socket without a client: sends what it is told to, and keeps what comes. */
class RawSocket {
  constructor(protocol = GRAPHQL_TRANSPORT_WS_PROTOCOL) {
    this.socket = new WebSocket(url, protocol);
    this.received = [];
    this.socket.on("message", (data) => this.received.push(read(data.toString())));
    this.closed = once(this.socket, "close").then(([code]) => code);
  }

  send(message) {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** The first message of this type, waited for. */
  async next(type) {
    for (;;) {
      const found = this.received.find((message) => message.type === type);
      if (found) return found;
      const event = await Promise.race([once(this.socket, "message"), this.closed]);
      if (typeof event === "number") throw new Error(`closed with ${event} before a message "${type}"`);
    }
  }
}

/** Opens a socket; where it is `begun`, connection_init has been sent and acknowledged. */
async function open({ begun = true } = {}) {
  const raw = new RawSocket();
  await once(raw.socket, "open");
  if (begun) {
    raw.send(init);
    await raw.next("connection_ack");
  }
  return raw;
}

/** Sends messages and expects the gateway to close the socket with this code. */
async function closes(expected, raw, ...messages) {
  for (const message of messages) raw.send(message);
  const code = await within(3_000, raw.closed).catch(() => "no close");
  raw.socket.terminate();
  if (code !== expected) {
    const received = raw.received.map((message) => `\n  ${JSON.stringify(message)}`).join("");
    throw new Error(`expected ${expected}, got ${code}, after ${received || "no message"}`);
  }
}

// Takes as long as the gateway is patient, so it begins first.
const silent = await open({ begun: false });
const silentSince = Date.now();

await check("a subscription tells what is, and what changes", async () => {
  const client = connect();
  const results = client.iterate({ query: tenantStats, variables: { tenant } });
  const first = await within(1_000, results.next());
  assert.deepEqual(first.value.errors, undefined);
  assert.equal(first.value.data.tenantStats.tenantId, tenant);
  const startedAt = addCall(tenant);
  const second = await within(3_000, results.next());
  assert.equal(Date.parse(second.value.data.tenantStats.lastCallAt), startedAt.getTime());
  await client.dispose();
});

await check("a query is answered and completes", async () => {
  const client = connect();
  const results = [];
  for await (const result of client.iterate({ query: "{ viewer { role } }" })) results.push(result);
  assert.deepEqual(results, [{ data: { viewer: { role: "ADMIN" } } }]);
  await client.dispose();
});

await check("a document that is not valid is answered by a message `error`", async () => {
  const client = connect();
  // The client rejects with the errors of that message, and with nothing else.
  const errors = await client.iterate({ query: "{ nothing }" }).next().catch((errors) => errors);
  assert.ok(Array.isArray(errors), `expected a list of errors, got: ${JSON.stringify(errors)}`);
  assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  await client.dispose();
});

await check("a ping is answered, also before connection_init", async () => {
  const raw = await open({ begun: false });
  raw.send({ type: "ping", payload: { number: 1 } });
  await within(3_000, raw.next("pong"));
  raw.socket.terminate();
});

await check("an id can be used again when its operation has been completed", async () => {
  const raw = await open();
  raw.send(subscribe);
  await within(3_000, raw.next("next"));
  raw.send({ type: "complete", id: "one" });
  raw.received.length = 0;
  raw.send(subscribe);
  await within(3_000, raw.next("next"));
  raw.socket.terminate();
});

await check("4403: a token that is not accepted", async () => {
  const closed = new Promise((resolve) => {
    const client = connect("Bearer wrong");
    client.on("closed", (event) => resolve(event.code));
    client.iterate({ query: "{ viewer { role } }" }).next().catch(() => {});
  });
  const code = await within(3_000, closed);
  if (code !== 4403) throw new Error(`expected 4403, got ${code}`);
});

await check("4403: no token", async () => closes(4403, await open({ begun: false }), { type: "connection_init" }));

await check("4401: an operation before connection_init", async () =>
  closes(4401, await open({ begun: false }), subscribe));

await check("4429: a second connection_init", async () => closes(4429, await open(), init));

await check("4429: a second connection_init before the first is acknowledged", async () =>
  closes(4429, await open({ begun: false }), init, init));

await check("4409: an id that is in use", async () => closes(4409, await open(), subscribe, subscribe));

await check("4406: another protocol, or none", async () => closes(4406, new RawSocket([])));

const query = "{ viewer { role } }";
const malformed = [
  "not JSON",
  [],
  {},
  { type: 1 },
  { type: "unknown" },
  { type: "subscribe", payload: { query } },
  { type: "subscribe", id: 1, payload: { query } },
  { type: "subscribe", id: "", payload: { query } },
  { type: "subscribe", id: "two" },
  { type: "subscribe", id: "two", payload: {} },
  { type: "subscribe", id: "two", payload: { query: 1 } },
  { type: "subscribe", id: "two", payload: { query, variables: "text" } },
  { type: "subscribe", id: "two", payload: { query, operationName: 1 } },
  { type: "subscribe", id: "two", payload: { query, extensions: "text" } },
  { type: "complete" },
  { type: "complete", id: "" },
  { type: "ping", payload: "text" },
  { type: "pong", payload: "text" },
];
for (const message of malformed) {
  const text = typeof message === "string" ? message : JSON.stringify(message);
  await check(`4400: ${text}`, async () => {
    assert.throws(() => parseMessage(text), "the package does not find it malformed");
    await closes(4400, await open(), text);
  });
}

await check("4400: connection_init with a payload that is no object", async () =>
  closes(4400, await open({ begun: false }), { ...init, payload: "text" }));

await check("4408: no connection_init within 20 seconds", async () => {
  const code = await within(20_000 - (Date.now() - silentSince), silent.closed);
  if (code !== 4408) throw new Error(`expected 4408, got ${code}`);
});

finish();
