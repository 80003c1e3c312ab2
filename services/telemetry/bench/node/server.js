'use strict';
// The bench's route on Express: a plan by its id, read from SQLite. `TELEMETRY=1` adds what the Rust server's layers
// do: a span around the query, an access log, errors to Sentry.
const { DatabaseSync } = require('node:sqlite');
const express = require('express');

const instrumented = process.env.TELEMETRY === '1';
const database = new DatabaseSync(process.env.DATABASE);
const sql = 'SELECT id, name, amount_minor, currency FROM plans WHERE id = ?';
const statement = database.prepare(sql);
const read = instrumented ? readInSpan : (id) => statement.get(id);

const app = express();
if (instrumented) {
  app.use(require('pino-http')());
}
app.get('/v1/plans/:id', (request, response) => {
  const plan = read(request.params.id);
  if (plan) {
    response.json(plan);
  } else {
    response.status(404).end();
  }
});
if (instrumented) {
  require('@sentry/node').setupExpressErrorHandler(app);
}

function readInSpan(id) {
  const { SpanKind, trace } = require('@opentelemetry/api');
  const attributes = {
    'db.system.name': 'sqlite',
    'db.operation.name': 'SELECT',
    'db.collection.name': 'plans',
    'db.query.text': sql,
  };
  return trace.getTracer('bench').startActiveSpan('SELECT plans', { kind: SpanKind.CLIENT, attributes }, (span) => {
    try {
      return statement.get(id);
    } finally {
      span.end();
    }
  });
}

const server = app.listen(0, '127.0.0.1', () => {
  console.error(`listening on 127.0.0.1:${server.address().port}`);
});
