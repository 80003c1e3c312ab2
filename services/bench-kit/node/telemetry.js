'use strict';
// What a server of a bench does besides the automatic instrumentation: an access log, a span around each query, errors
// to Sentry, as the layers of the Rust servers do.
const { SpanKind, trace } = require('@opentelemetry/api');

/// To be called before the routes are added.
exports.log = (app) => app.use(require('pino-http')());

/// To be called after the routes were added.
exports.reportErrors = (app) => require('@sentry/node').setupExpressErrorHandler(app);

/// The same query in a span.
exports.inSpan = (operation, table, sql, query) => {
  const attributes = {
    'db.system.name': 'sqlite',
    'db.operation.name': operation,
    'db.collection.name': table,
    'db.query.text': sql,
  };
  const options = { kind: SpanKind.CLIENT, attributes };
  return (...values) =>
    trace.getTracer('bench').startActiveSpan(`${operation} ${table}`, options, (span) => {
      try {
        return query(...values);
      } finally {
        span.end();
      }
    });
};
