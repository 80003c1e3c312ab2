-- A mail to an address that no account has yet names the account that is to have it, and so does the token in it.
ALTER TABLE mails ADD COLUMN user_id TEXT;
-- In the place of trace_id, which releases before this one still write: names the span too.
ALTER TABLE mails ADD COLUMN traceparent TEXT;
ALTER TABLE mail_tokens ADD COLUMN new_email TEXT;
