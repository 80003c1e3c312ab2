'use strict';
// Loaded before the server (`node --import`), so that http and express are hooked when it loads them. The exporter,
// the sampler and the DSN come from the same environment variables as those of the Rust servers.
const Sentry = require('@sentry/node');
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { ExpressInstrumentation } = require('@opentelemetry/instrumentation-express');

Sentry.init({ tracesSampleRate: Number(process.env.SENTRY_TRACES_SAMPLE_RATE) });
// No profiles: this SDK draws them per process, not per transaction, so a tenth of them is not to be had.

new NodeSDK({ instrumentations: [new HttpInstrumentation(), new ExpressInstrumentation()] }).start();
