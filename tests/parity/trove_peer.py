"""Run by the Python of Trove: trove_peer.py MODEL DATASET OUT POOLING NORMALIZE. Metrics, and mined negatives."""

import json
import sys
from pathlib import Path

from transformers import AutoTokenizer
from trove import (
    BiEncoderRetriever,
    DataArguments,
    EvaluationArguments,
    MaterializedQRelConfig,
    ModelArguments,
    MultiLevelDataset,
    RetrievalCollator,
    RetrievalEvaluator,
)

model_folder, data, out, pooling, normalize = sys.argv[1:]
model_args = ModelArguments(
    model_name_or_path=model_folder, encoder_class="default", pooling=pooling, normalize=normalize
)
tokenizer = AutoTokenizer.from_pretrained(model_folder)
data_args = DataArguments(query_max_len=64, passage_max_len=64, pad_to_multiple_of=None)


def evaluator(name: str, **options: object) -> RetrievalEvaluator:
    """A run in a folder of its own."""
    model = BiEncoderRetriever.from_model_args(args=model_args)
    config = MaterializedQRelConfig(
        qrel_path=f"{data}/qrels/test.tsv", corpus_path=f"{data}/corpus.jsonl", query_path=f"{data}/queries.jsonl"
    )
    dataset = MultiLevelDataset(
        data_args=data_args, format_query=model.format_query, format_passage=model.format_passage, qrel_config=config
    )
    arguments = EvaluationArguments(output_dir=f"{out}/{name}", report_to="none", use_cpu=True, **options)
    collator = RetrievalCollator(data_args=data_args, tokenizer=tokenizer, append_eos=model.append_eos_token)
    return RetrievalEvaluator(
        args=arguments, model=model, tokenizer=tokenizer, data_collator=collator, eval_dataset=dataset
    )


metrics = evaluator("evaluated", ir_metrics_k_values="1,3,10").evaluate()["metrics"]
Path(out, "metrics.json").write_text(json.dumps(metrics))
for name, options in (("left_out", {}), ("all", {"no_annot_in_mined_hn": False})):
    evaluator(name, search_topk=7, merge_mined_qrels=True, **options).mine_hard_negatives()
