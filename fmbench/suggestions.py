"""What users of other tools type, and what that is called here."""

from collections.abc import Sequence

from fmbench.errors import folded, nearest

DTYPES = {
    **dict.fromkeys(("bf16", "bfloat", "bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp16", "f16", "half", "float16"), "float16"),
    **dict.fromkeys(("fp32", "f32", "single", "float", "full", "float32"), "float32"),
    **dict.fromkeys(("fp64", "f64", "double", "float64"), "float64"),
    "fp8": "float8_e4m3fn",
}  # as torch names them
MODEL_CLASSES = {
    "sentencetransformer": ["AutoModel"], "sentence_transformer": ["AutoModel"], "embedding": ["AutoModel"],
    "encoder": ["AutoModel"], "auto": ["AutoModel"], "crossencoder": ["AutoModelForSequenceClassification"],
}  # fmt: skip
# Arguments, by what they are called elsewhere: without dashes in front, in small letters, `_` between words.
MEANT = {
    "--batch_sizes": "batch batches batch_size batchsize bs per_device_batch_size train_batch_size eval_batch_size",
    "--input_sizes": "seq_len seq_lens seqlen seq_length sequence_length sequence_lengths input_size input_len "
    "input_length input_lengths length lengths max_length max_seq_length max_seq_len isl tokens prompt_length",
    "--model_name": "model models model_id model_path model_name_or_path pretrained checkpoint hf_model name",
    "--model_root": "model_dir models_dir root cache_dir",
    "--model_class": "class architecture model_type auto_class",
    "--model:dtype": "dtype torch_dtype data_type model_dtype compute_dtype bf16 fp16 fp32 half bfloat16 float16 "
    "float32 amp autocast",
    "--model:attn_implementation": "attn attention attn_impl attn_implementation flash_attention",
    "--model:trust_remote_code@ True": "trust_remote_code",
    "--model:revision": "revision",
    "--model:quantization_config@": "quantization quantize quantization_config load_in_8bit load_in_4bit int8 int4",
    "--platform": "backend hardware accelerator device_type target engine provider",
    "--device": "gpu gpu_id gpus device_id device_index device_ids cuda_device",
    "--threads": "num_threads nthreads n_threads cpu_threads intra_op_threads cpus num_cpus cores jobs",
    "--reps": "repetitions repeats rep iterations iters iter num_iters num_iterations runs num_runs n_runs trials "
    "loops min_run_count steps num_steps",
    "--max_seconds": "max_time time timeout duration seconds min_run_time max_duration time_limit",
    "--precision": "accuracy tolerance confidence rel_error error",
    "--weights random": "random random_weights dummy_weights load_format",
    "--compile": "torch_compile torchcompile jit use_compile inductor",
    "--compile:mode": "compile_mode mode",
    "--compile:backend": "compile_backend compiler dynamo_backend",
    "--torch.call:set_grad_enabled@ False": "no_grad nograd inference_mode inference no_gradients grad",
    "--torch.call:set_float32_matmul_precision": "tf32 allow_tf32 matmul_precision float32_matmul_precision",
    "--vs": "versus compare compare_with baseline against ab",
    "--resume": "continue restart checkpoint_log resume_from",
    "--profile": "trace profiler profiling torch_profiler",
    "--isolate": "subprocess processes isolated fork spawn",
    "--ceiling": "roofline peak flops",
    "--seed": "random_seed manual_seed",
    "--dataset": "data data_dir dataset_name dataset_path collection corpus_dir",
    "--out": "output output_file out_file o file",
}
SYNONYMS: dict[str, list[str]] = {}
for _option, _words in MEANT.items():
    for _word in _words.split():
        SYNONYMS.setdefault(_word, []).append(_option)


def nearest_argument(word: str, known: Sequence[str]) -> str:
    """Return a hint at the argument that was meant by an unknown one; `known` are those that there are.

    One that ends the word (--precision_k: --k), a sub-option with a dot, another tool's name, else what looks alike.
    """
    end = f"--{word.rpartition('_')[2]}"
    if end in known:
        return f"; did you mean {end}?"
    name, dot, key = word.removeprefix("--").partition(".")
    if dot and "--model_name" in known:
        return f"; did you mean --{name}:{key}?"
    key = folded(name)
    meant = [option for option in SYNONYMS.get(key, ()) if is_there(option, known)]
    return nearest(word, known, synonyms={folded(word): meant})


def is_there(option: str, known: Sequence[str]) -> bool:
    """Whether a program has an option: its own, or a sub-option, which every program with a model has."""
    return option.split()[0] in known or (":" in option and "--model_name" in known)
