ALTER TABLE users ADD COLUMN email_verified_at BIGINT;
ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'user';
ALTER TABLE users ADD COLUMN locked_at BIGINT;

CREATE TABLE sessions (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    address      TEXT,
    user_agent   TEXT
);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- The tokens of a session form a chain: each was replaced by its successor, the last one is in use.
-- `salt` makes the successor from the token itself, and is forgotten once the successor is replaced too.
CREATE TABLE refresh_tokens (
    hash        TEXT   NOT NULL PRIMARY KEY,
    session_id  TEXT   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    replaced_at BIGINT,
    successor   TEXT,
    salt        TEXT
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id, replaced_at);

-- Without a foreign key: that an account was deleted outlives the account.
CREATE TABLE audit_events (
    id         TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    user_id    TEXT,
    actor_id   TEXT,
    session_id TEXT,
    address    TEXT
);
CREATE INDEX audit_events_of_user ON audit_events (user_id, id);
CREATE INDEX audit_events_by_time ON audit_events (at);
