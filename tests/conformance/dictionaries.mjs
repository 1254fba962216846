// Writes the ids and the names of the tenants that there are, one file of each, as schemathesis reads them.
// Argument: the directory to write to.

import { writeFileSync } from "node:fs";
import { ask } from "./gateway.mjs";

const directory = process.argv[2];
const { tenants } = await ask("{ tenants { nodes { id name } } }");
const entries = (values) => values.map((value) => `${JSON.stringify(value)}\n`).join("");
writeFileSync(`${directory}/tenants.dict`, entries(tenants.nodes.map((tenant) => tenant.id)));
writeFileSync(`${directory}/names.dict`, entries(tenants.nodes.map((tenant) => tenant.name)));
