"""Lets schemathesis make requests of the API document and judge the answers.

Arguments: those of `schemathesis`. A script of the package would name the folder that pip wrote it in.
"""

from schemathesis.cli import schemathesis

schemathesis()
