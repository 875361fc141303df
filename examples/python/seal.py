"""Seals one password field as a publisher does it (docs/publishing.md), for programs that write events themselves.

Environment: PUBLISHER_FERNET_KEY. The value comes on standard input, so that it is in no list of processes:

    printf %s "$PASSWORD" | python seal.py CONNECTION_ID /connection/config/password
"""

import json
import os
import sys

from cryptography.fernet import Fernet


def seal(fernet: Fernet, connection_id: str, path: str, value: str) -> str:
    """The field's text: a token that is good for this connection and this JSON Pointer only."""
    envelope = json.dumps({"connectionId": connection_id, "path": path, "value": value})
    return "fernet:" + fernet.encrypt(f"csw1:{envelope}".encode()).decode()


if __name__ == "__main__":
    first_key = os.environ["PUBLISHER_FERNET_KEY"].split(",")[0].strip()
    print(seal(Fernet(first_key), sys.argv[1], sys.argv[2], sys.stdin.read()))
