CREATE TABLE conversations (
    id         TEXT   NOT NULL PRIMARY KEY,
    owner_id   TEXT   NOT NULL,
    title      TEXT   NOT NULL,
    last_seq   BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX conversations_by_owner ON conversations (owner_id);

CREATE TABLE members (
    conversation_id TEXT   NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id         TEXT   NOT NULL,
    joined_at       BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
);

CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE messages (
    conversation_id TEXT   NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq             BIGINT NOT NULL,
    id              TEXT   NOT NULL UNIQUE,
    sender_id       TEXT   NOT NULL,
    client_msg_id   TEXT   NOT NULL,
    body            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, seq),
    UNIQUE (conversation_id, sender_id, client_msg_id)
);
