"""Run by any Python with torch and transformers: fmwork_peer.py CHECKOUT LINES.json. What its driver reads in each."""

import contextlib
import importlib.machinery
import io
import json
import sys

checkout, source = sys.argv[1:]
sys.path[:0] = [f"{checkout}/utils"]
driver = importlib.machinery.SourceFileLoader("driver", f"{checkout}/embed/tf/driver").load_module()
found = []
with open(source) as file:  # noqa: PTH123
    lines = json.load(file)
for words in lines:
    sys.argv = ["driver", *words]
    with contextlib.redirect_stdout(io.StringIO()):
        arguments = driver.setup_args()
    found.append({**arguments.subs, "compiled": arguments.compile, "eval": arguments.eval})
print(json.dumps(found, default=str))
