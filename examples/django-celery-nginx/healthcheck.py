"""Asks this replica whether it is well; ends with an error when it is not."""

import http.client

connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=9)
connection.request("GET", "/health")
response = connection.getresponse()
if response.status != 200:
    raise SystemExit(f"{response.status}: {response.read().decode()}")
