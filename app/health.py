"""`python -m app.health`: asks the service on this machine whether it is ready.

The exit code is 0 or 1, as a container's HEALTHCHECK wants it.
"""

import http.client
import os
import sys

from app.settings import BadSetting, from_environment

TIMEOUT_S = 3.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listening everywhere includes loopback


def main() -> int:
    try:
        settings = from_environment(os.environ)
        connection = http.client.HTTPConnection(
            EVERYWHERE.get(settings.host, settings.host), settings.port, timeout=TIMEOUT_S
        )
        connection.request("GET", "/readyz", headers={"Connection": "close"})
        answer = connection.getresponse()
        print(answer.read(200).decode(errors="replace"))
    except (BadSetting, OSError, http.client.HTTPException) as error:
        print(f"not ready: {error}")
        return 1
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
