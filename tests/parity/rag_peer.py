"""Run by any Python: rag_peer.py EVAL_RAG.PY PREDICTIONS GOLD K,... The published script's precision at each k.

Only that function of the script is run: the rest needs a generator's libraries.
"""

import ast
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

script, predictions, gold, k_values = sys.argv[1:]
wanted = [one for one in ast.parse(Path(script).read_text()).body if getattr(one, "name", "") == "get_precision_at_k"]
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
names = {"logger": logging.getLogger()}
exec(compile(ast.Module(wanted, []), script, "exec"), names)  # noqa: S102
for k in k_values.split(","):
    names["get_precision_at_k"](SimpleNamespace(k=int(k)), predictions, gold)
