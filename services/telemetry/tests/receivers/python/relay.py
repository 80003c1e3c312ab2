"""Sentry's own normaliser as a judge: a list of events and transactions in, what is wrong with them out (JSON)."""

import json
import sys

from sentry_relay.processing import StoreNormalizer

complaints = []
for event in json.load(sys.stdin):
    normalizer = StoreNormalizer(project_id=1)
    normalized = normalizer.normalize_event(event)
    for error in normalized.get("errors", []):
        complaints.append({"event_id": event.get("event_id"), **error})
json.dump(complaints, sys.stdout)
