"""Ends with 0 when this replica wants requests. Images without curl have no other way to ask."""

import http.client

connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=4)
connection.request("GET", "/health")
raise SystemExit(connection.getresponse().status != 200)
