// Makes JSON Schema (draft 7) of the gateway's payloads out of the types of the npm package discord-api-types:
// `node gateway_schema.mjs FOLDER`, FOLDER holding node_modules. Writes FOLDER/discord-gateway-VERSION.json, once a
// version. Keys that the types do not name are wrong in it (`additionalProperties: false`).
import { existsSync, globSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const folder = process.argv[2];
const require = createRequire(join(folder, "/"));
const types = require.resolve("discord-api-types/v10").replace(/\.js$/, ".d.ts");
const { version } = require(join(dirname(types), "package.json"));
const target = join(folder, `discord-gateway-${version}.json`);

if (!existsSync(target)) {
  const { createGenerator } = require("ts-json-schema-generator");
  const schemaOf = (type) =>
    createGenerator({ path: types, type, skipTypeCheck: true, jsDoc: "none" }).createSchema(type).definitions;
  const definitions = { ...schemaOf("GatewayReceivePayload"), ...schemaOf("GatewaySendPayload") };
  const schema = { $schema: "http://json-schema.org/draft-07/schema#", definitions };
  for (const old of globSync(join(folder, "discord-gateway-*.json"))) rmSync(old);
  writeFileSync(`${target}.new`, JSON.stringify(schema));
  renameSync(`${target}.new`, target);
}
