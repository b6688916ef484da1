"""Whether padding changes what a model makes of a text: asked of the model, once, before anything is encoded."""

from typing import Any

from fmbench.errors import UsageError, one_line

TOKENS, PADDED = 8, 13  # of a short text, and of the batch it is padded in
FIRST = 5  # the ids before are special ones in many vocabularies
LEAST_COSINE, LEAST_OF_HALVES = 0.9999, 0.98  # half precision rounds other shapes in other places


def reads_types(model: Any, padding_id: int) -> bool:
    """Whether token types that are all zero change what a model makes of a text: then leaving them out is no default.

    BERT takes none for zeros. GPT-2 adds the word embedding of token 0, and XLNet attends by segments.
    """
    import torch

    words = [number for number in range(FIRST, FIRST + TOKENS + 1) if number != padding_id][:TOKENS]
    batch = {"input_ids": torch.tensor([words], device=model.device)}
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    try:
        with torch.no_grad():
            without = model(**batch).last_hidden_state
            zeros = model(**batch, token_type_ids=torch.zeros_like(batch["input_ids"])).last_hidden_state
    except Exception:  # it takes none
        return False
    return not torch.equal(without, zeros)


def check_padding(model: Any, padding_id: int) -> None:
    """Raise UsageError where a text's hidden states are others beside a longer text. The model is on the host.

    Convolutions over tokens (ConvBERT), mixing by Fourier transforms (FNet) and attention by landmarks (Nyströmformer)
    look at padding whatever the mask says: a vector would depend on the texts that happen to be in its batch. Nothing
    is said of a model whose kernels the host does not have.
    """
    import torch

    words = [number for number in range(FIRST, FIRST + PADDED + 1) if number != padding_id][:PADDED]
    ids = torch.tensor([words, words], device=model.device)
    mask = torch.ones_like(ids)
    alone = {"input_ids": ids[:1, :TOKENS].clone(), "attention_mask": mask[:1, :TOKENS].clone()}
    ids[0, TOKENS:], mask[0, TOKENS:] = padding_id, 0
    try:
        with torch.no_grad():
            own = model(**alone).last_hidden_state[0]
            beside = model(input_ids=ids, attention_mask=mask).last_hidden_state[0, :TOKENS]
    except (ValueError, TypeError) as error:  # it asks for more than token ids, such as a language or boxes
        raise UsageError(f"--model_class: {type(model).__name__} reads no plain texts: {one_line(error)}") from error
    except Exception:
        return
    if not bool(torch.isfinite(own).all() and torch.isfinite(beside).all()):
        return  # weights that are no numbers: whoever encodes a text says so
    cosine = float(torch.cosine_similarity(own.float(), beside.float(), dim=-1).min())
    if not cosine >= (LEAST_COSINE if own.element_size() >= 4 else LEAST_OF_HALVES):
        raise UsageError(
            f"{type(model).__name__} takes padding for tokens: a text's vector would depend on the texts beside it "
            f"(cosine {cosine:.4f} between alone and padded); it cannot be encoded in batches"
        )
