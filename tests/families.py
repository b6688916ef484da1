"""Tiny models of the library's families, with random weights: the same code paths as the published sizes."""

from typing import Any

from fmbench.options import Arguments
from fmbench.source import Source

POSITIONS = 40
PADDING = 1
# Only those that a family's configuration has are taken.
SIZES: dict[str, Any] = {
    "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": POSITIONS, "max_seq_len": POSITIONS, "head_dim": 8,
    "embedding_size": 32, "d_model": 32, "d_ff": 64, "d_kv": 8, "d_inner": 64, "d_head": 8, "emb_dim": 32,
    "max_encoder_position_embeddings": 1024, "encoder_layers": 2, "decoder_layers": 2, "num_decoder_layers": 2,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "word_embed_proj_dim": 32, "ffn_dim": 64, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "n_inner": 64,
    "rotary_dim": 4, "moe_intermediate_size": 32, "num_experts": 2, "num_local_experts": 2, "num_experts_per_tok": 1,
    "sliding_window": 16, "pad_token_id": PADDING, "bos_token_id": 2, "eos_token_id": 3,
    "decoder_start_token_id": 2, "initializer_range": 0.3, "init_std": 0.3, "initializer_factor": 1.0,
}  # fmt: skip
ENCODERS = (
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "esm",
    "eurobert", "flaubert", "gte", "ibert", "jina_embeddings_v3", "longformer", "luke", "megatron-bert", "mobilebert",
    "modernbert", "mpnet", "mra", "nomic_bert", "rembert", "roberta", "roberta-prelayernorm", "roformer", "splinter",
    "squeezebert", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet",
)  # fmt: skip
DECODERS = (
    "biogpt", "bloom", "codegen", "cohere", "ctrl", "falcon", "gemma", "gemma2", "gemma3_text", "glm", "gpt2",
    "gpt_bigcode", "gpt_neox", "gptj", "granite", "llama", "mistral", "mixtral", "modernbert-decoder", "mpt", "olmo2",
    "openai-gpt", "opt", "phi", "phi3", "qwen2", "qwen3", "qwen3_moe", "rwkv", "smollm3", "starcoder2", "xglm",
)  # fmt: skip
# By type, the class of the encoder that AutoModel stands for.
ENCODER_DECODERS = {
    "bart": "BartEncoder", "blenderbot": "BlenderbotEncoder", "led": "LEDEncoder", "longt5": "LongT5EncoderModel",
    "m2m_100": "M2M100Encoder", "marian": "MarianEncoder", "mbart": "MBartEncoder", "mt5": "MT5EncoderModel",
    "pegasus": "PegasusEncoder", "pegasus_x": "PegasusXEncoder", "plbart": "PLBartEncoder",
    "prophetnet": "ProphetNetEncoder", "switch_transformers": "SwitchTransformersEncoderModel", "t5": "T5EncoderModel",
    "umt5": "UMT5EncoderModel",
}  # fmt: skip
LEAKING = ("canine", "convbert", "cpmant", "fnet", "nystromformer", "yoso")
NOT_TEXT = ("vit", "clip_vision_model", "wav2vec2", "whisper")
FAMILIES = (*ENCODERS, *DECODERS, *ENCODER_DECODERS)


def tiny_config(model_type: str, **changes: Any) -> dict[str, Any]:
    """Return a config.json of a family, small."""
    import transformers

    kind = transformers.CONFIG_MAPPING[model_type]
    known = kind().to_dict()
    named = {kind.attribute_map.get(key, key): value for key, value in SIZES.items()}
    return {"model_type": model_type, **{key: value for key, value in named.items() if key in known}, **changes}


def source_of(config: dict[str, Any]) -> Source:
    """Return a configuration as a source, for random weights."""
    return Source("catalogue", config["model_type"], config)


def arguments_of(model_class: str = "AutoModel", **options: Any) -> Arguments:
    """Return the arguments of a driver that builds a model with random weights."""
    trees: dict[str, Any] = {"model": options, "compile": {}, "torch.call": {}, "torch.set": {}, "platform": {}}
    return Arguments(platform="cpu", model_class=model_class, model_name="tiny", weights="random", options=trees)
