// The plain thing that the service is measured beside: Express with one route that answers the same JSON.
const express = require("express");

const unknown = "unknown";
const app = express();
app.get("/health", (_request, response) => {
  response.json({ status: "ok", version: "0.1.0", commit: unknown, built_from: unknown, uptime_s: process.uptime() });
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
