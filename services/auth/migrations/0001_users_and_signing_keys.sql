CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL UNIQUE,
    display_name  TEXT,
    password_hash TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);

CREATE TABLE signing_keys (
    kid        TEXT   NOT NULL PRIMARY KEY,
    pkcs8      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
