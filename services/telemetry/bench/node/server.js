'use strict';
// The bench's route on Express: a plan by its id, read from SQLite. TELEMETRY names the module that adds what the Rust
// server's layers do.
const { DatabaseSync } = require('node:sqlite');
const express = require('express');

const telemetry = process.env.TELEMETRY && require(process.env.TELEMETRY);
const database = new DatabaseSync(process.env.DATABASE);
const sql = 'SELECT id, name, amount_minor, currency FROM plans WHERE id = ?';
const statement = database.prepare(sql);
const select = (id) => statement.get(id);
const read = telemetry ? telemetry.inSpan('SELECT', 'plans', sql, select) : select;

const app = express();
telemetry?.log(app);
app.get('/v1/plans/:id', (request, response) => {
  const plan = read(request.params.id);
  if (plan) {
    response.json(plan);
  } else {
    response.status(404).end();
  }
});
telemetry?.reportErrors(app);

const server = app.listen(0, '127.0.0.1', () => {
  console.error(`listening on 127.0.0.1:${server.address().port}`);
});
