'use strict';
// `GET /v1/me` on Express: the auth service's tokens, keys and database, and its answer.
const { createPublicKey, verify } = require('node:crypto');
const Database = require('better-sqlite3');
const express = require('express');
const { decode } = require('jsonwebtoken');

const telemetry = require(process.env.TELEMETRY);
const LEEWAY = 30;

const keys = new Map();
for (const key of JSON.parse(process.env.JWKS).keys) {
  keys.set(key.kid, createPublicKey({ key, format: 'jwk' }));
}

const database = new Database(process.env.DATABASE, { readonly: true });
const sql =
  'SELECT u.id, u.email, u.email_verified_at, u.display_name, u.role, u.created_at, u.locked_at ' +
  'FROM sessions s JOIN users u ON u.id = s.user_id ' +
  'WHERE s.id = ? AND s.user_id = ? AND s.revoked_at IS NULL AND s.expires_at > ?';
const statement = database.prepare(sql);
const account = telemetry.inSpan('SELECT', 'sessions', sql, (...values) => statement.get(...values));

const app = express();
telemetry.log(app);
app.get('/readyz', (request, response) => response.json({}));
app.get('/v1/me', (request, response) => {
  const claims = claimsOf(request.headers.authorization);
  const found = claims && account(claims.sid, claims.sub, Date.now() * 1000);
  if (!found) {
    response.status(401).json({ code: claims ? 'session_ended' : 'invalid_token' });
  } else if (found.locked_at !== null) {
    response.status(403).json({ code: 'account_locked' });
  } else {
    response.json({
      id: found.id,
      email: found.email,
      email_verified_at: instant(found.email_verified_at),
      display_name: found.display_name,
      role: found.role,
      created_at: instant(found.created_at),
    });
  }
});
telemetry.reportErrors(app);
app.listen(Number(process.env.PORT), '127.0.0.1');

// jsonwebtoken 9 verifies no EdDSA ("Unknown key type"), so it reads the token and Node's own crypto verifies it.
function claimsOf(authorization) {
  const token = /^Bearer ([^ ]+)$/.exec(authorization ?? '')?.[1];
  const decoded = token && decode(token, { complete: true });
  const key = decoded?.header.alg === 'EdDSA' && keys.get(decoded.header.kid);
  if (!key) {
    return undefined;
  }
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')));
  if (!verify(null, signed, key, Buffer.from(decoded.signature, 'base64url'))) {
    return undefined;
  }
  const claims = decoded.payload;
  const now = Date.now() / 1000;
  const good =
    claims.iss === 'tracewell-auth' &&
    claims.aud === 'tracewell' &&
    claims.exp > now - LEEWAY &&
    claims.iat <= now + LEEWAY;
  return good ? claims : undefined;
}

function instant(micros) {
  return micros === null ? null : new Date(micros / 1000).toISOString();
}
