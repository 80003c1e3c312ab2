"""How many there are of each thing, and at which price: billing knows the plans.

Nothing here speaks of traces but the first lines: they start the OpenTelemetry distribution, which reads the OTEL_*
variables that Tracewell sets and instruments what is imported after it.
"""

from opentelemetry.instrumentation.auto_instrumentation import initialize

initialize()

import json
import os
import signal
import sys
import urllib.request

import flask
import waitress

STOCK = {"1": 7, "2": 0}
BILLING = os.environ.get("BILLING_URL")

app = flask.Flask("stock")


@app.get("/stock/<thing>")
def stock(thing):
    if thing not in STOCK:
        return {"error": f"there is no thing {thing}; there are {', '.join(STOCK)}"}, 404
    return {"left": STOCK[thing], "plans": plans()}


def plans():
    """Names of billing's plans; none where the Platform has no billing."""
    if not BILLING:
        return []
    with urllib.request.urlopen(f"{BILLING}/v1/plans", timeout=5) as answer:
        return [plan["name"] for plan in json.load(answer)["plans"]]


@app.get("/healthz")
@app.get("/readyz")
def health():
    return {"status": "ok"}


if __name__ == "__main__":
    # waitress has no handler of its own; leaving by exit lets the SDK send its last spans.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waitress.serve(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), threads=4)
