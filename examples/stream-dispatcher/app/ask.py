"""Asks the controller, whichever of its replicas that is: ask.py /stats, ask.py /tasks '{"text": "hello"}'"""

import json
import sys
import urllib.error
import urllib.request

path, body = sys.argv[1], sys.argv[2].encode() if len(sys.argv) > 2 else None
try:
    with urllib.request.urlopen(f"http://controller:8000{path}", body, timeout=30) as answer:
        print(json.dumps(json.load(answer), indent=2))
except urllib.error.HTTPError as error:
    sys.exit(f"{error}: {error.read().decode()}")
