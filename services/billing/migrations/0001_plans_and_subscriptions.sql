CREATE TABLE plans (
    id                TEXT   NOT NULL PRIMARY KEY,
    name              TEXT   NOT NULL,
    amount_minor      BIGINT NOT NULL CHECK (amount_minor >= 0),
    currency          TEXT   NOT NULL,
    billing_interval  TEXT   NOT NULL CHECK (billing_interval IN ('month', 'year')),
    max_conversations BIGINT
);

INSERT INTO plans (id, name, amount_minor, currency, billing_interval, max_conversations) VALUES
    ('pln_free',     'Free',        0, 'EUR', 'month', 20),
    ('pln_team',     'Team',     1200, 'EUR', 'month', 1000),
    ('pln_business', 'Business', 4900, 'EUR', 'month', NULL);

CREATE TABLE subscriptions (
    id                   TEXT   NOT NULL PRIMARY KEY,
    user_id              TEXT   NOT NULL,
    plan_id              TEXT   NOT NULL REFERENCES plans (id),
    status               TEXT   NOT NULL,
    billing_email        TEXT,
    current_period_start BIGINT NOT NULL,
    current_period_end   BIGINT NOT NULL,
    created_at           BIGINT NOT NULL
);

CREATE UNIQUE INDEX subscriptions_one_active_per_user ON subscriptions (user_id) WHERE status = 'active';
CREATE INDEX subscriptions_by_user ON subscriptions (user_id, created_at);
