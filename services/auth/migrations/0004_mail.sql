-- What is to be mailed. The letter is written when it is sent, and kept here only where the outbox is where mail goes:
-- elsewhere no token of a mail is ever stored.
CREATE TABLE mails (
    id         TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    recipient  TEXT   NOT NULL,
    trace_id   TEXT,
    created_at BIGINT NOT NULL,
    due_at     BIGINT,
    attempts   BIGINT NOT NULL DEFAULT 0,
    sent_at    BIGINT,
    subject    TEXT,
    text_body  TEXT,
    html_body  TEXT
);
CREATE INDEX mails_due ON mails (due_at);
CREATE INDEX mails_of_recipient ON mails (recipient, kind, sent_at);

CREATE TABLE mail_tokens (
    hash       TEXT   NOT NULL PRIMARY KEY,
    purpose    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT
);
CREATE INDEX mail_tokens_of_user ON mail_tokens (user_id);
CREATE INDEX mail_tokens_by_end ON mail_tokens (expires_at);
