"""A store of results: `results/<machine>/<run>/{driver.log.gz,results.json,environment.json}`.

The log is the truth, the results are what `process` makes of it, and the third file says what both must be. An entry is
there when its environment.json is: it is written last, and what has none is no entry.
"""
