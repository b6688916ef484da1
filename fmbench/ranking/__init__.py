"""What a ranking is worth: metrics, intervals, comparisons, the precision curve, and hard negatives.

A run is `run[query id][document id]` = score. One total order holds everywhere: the higher score first, and of equal
scores the greater document id, as trec_eval has it.
"""
