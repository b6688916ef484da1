"""A fake `fmbench`, for what a sweep does with commands: its batch size says how it ends.

1 to 9: a log with a result; 10: a log with an ERR line, exit 1; 11: refused, exit 2; 12: killed; 13: does not end.
"""

import os
import signal
import sys
import time

words = sys.argv[1:]
size = int(words[words.index("--batch_sizes") + 1])
moment = time.time_ns()
at = f"{moment // 10**9}.{moment % 10**9:09d}"
if size == 11:
    sys.exit("driver: error: no such thing")
print('FMWORK LOG {"format": 1, "program": "fake", "driver": "embed"}')
for word in words:
    if word.startswith("--device="):
        print(f"FMWORK ARG --device {word.partition('=')[2]}")
print('FMWORK ENV {"platform": "null"}', flush=True)
if size == 12:
    os.kill(os.getpid(), signal.SIGKILL)
if size == 13:
    time.sleep(600)
time.sleep(0.05)
if size == 10:
    print('FMWORK ERR {"input_size": 8, "batch_size": 10, "type": "ValueError", "message": "told"}')
    sys.exit(1)
print(f"FMWORK RES {at} {at} none none 8 {size} {size}.000 1000.0")
