"""An SMTP server that takes mail only from who has encrypted the connection and said a password.

Arguments: a folder, where it leaves the certificate of its authority, ca.pem; then, perhaps, `ascii`: it does not offer
SMTPUTF8. Prints its port, then a line of JSON for each mail. Ends with its standard input.
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes
from email.policy import default

import trustme
from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"ada", b"a secret of ours"


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=default)
        mail = {
            "encrypted": session.ssl is not None,
            "user": session.auth_data and session.auth_data.login.decode(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "header": str(message["To"]),
            "id": message["Message-ID"],
            "subject": message["Subject"],
            "text": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
        }
        print(json.dumps(mail), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, auth_data):
    return AuthResult(success=(auth_data.login, auth_data.password) == (USER, PASSWORD), auth_data=auth_data)


authority = trustme.CA()
authority.cert_pem.write_to_path(f"{sys.argv[1]}/ca.pem")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("localhost").configure_cert(context)


async def serve():
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(
        Handler(),
        tls_context=context,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
        enable_SMTPUTF8="ascii" not in sys.argv,
    )
    server = await loop.create_server(make, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
