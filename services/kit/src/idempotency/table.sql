-- A step of the schema of each service that keeps answers; like every step, it is never edited.
CREATE TABLE idempotency_keys (
    user_id         TEXT   NOT NULL,
    operation       TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    fingerprint     TEXT   NOT NULL,
    status          BIGINT,
    body            TEXT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (user_id, operation, idempotency_key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
