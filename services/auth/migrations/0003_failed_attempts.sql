-- Failed attempts at a password, counted by what was tried and from where. `scope` names the counter.
CREATE TABLE failed_attempts (
    scope         TEXT   NOT NULL PRIMARY KEY,
    failures      BIGINT NOT NULL,
    last_at       BIGINT NOT NULL
);
CREATE INDEX failed_attempts_by_time ON failed_attempts (last_at);
