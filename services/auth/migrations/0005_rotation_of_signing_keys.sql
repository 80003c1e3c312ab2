-- A key is made (next), signs (active), then only verifies (retired). `pkcs8` is sealed.
ALTER TABLE signing_keys ADD COLUMN activated_at BIGINT;
ALTER TABLE signing_keys ADD COLUMN retired_at BIGINT;
UPDATE signing_keys SET activated_at = created_at;
