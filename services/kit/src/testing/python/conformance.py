"""Lets schemathesis make requests of the API document and judge the answers.

Arguments: those of `schemathesis`. A script of the package would name the folder that pip wrote it in.
"""

from itertools import count

from requests import Session
from schemathesis.cli import schemathesis

clients = count(1)
send = Session.send


def send_as_another_client(session, request, **options):
    """Each request comes from an address of its own: one that fails again and again would soon be told to wait.

    Written into the request that is sent, not by a hook: a case whose headers a hook has changed is judged anew, as valid.
    """
    number = next(clients)
    request.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return send(session, request, **options)


Session.send = send_as_another_client
schemathesis()
