"""Weight names of CLIP's image encoder: timm's (which are ours), Hugging Face's and OpenAI's. No backend.

Hugging Face's are the canonical ones here, without their prefix: `embeddings.class_embedding`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from ..common.weights import Weight

W = TypeVar("W", np.ndarray, "Tensor")

_LEADING = r"^(?:(?:module|model|backbone|feature_extractor|vision_model|clip_model)\.)*"
_HUGGING = re.compile(_LEADING + r"((?:embeddings|pre_layrnorm|encoder|post_layernorm|visual_projection)\..+)$")
_OPENAI = re.compile(_LEADING + r"visual\.(.+)$")
_UNUSED = re.compile(
    r"(text_model|text_projection|token_embedding|logit_scale|ln_final)\b|^(clip_model\.)?"
    r"(transformer\.|positional_embedding$)|position_ids$"
)
PROJECTION = "visual_projection.weight"
_TOP = {
    "cls_token": "embeddings.class_embedding",  # a tensor's name # nosec B105
    "pos_embed": "embeddings.position_embedding.weight",
    "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
}
_NORMS = {"norm_pre": "pre_layrnorm", "norm": "post_layernorm"}
_IN_BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "attn.qkv.q_proj": "self_attn.q_proj",
    "attn.qkv.k_proj": "self_attn.k_proj",
    "attn.qkv.v_proj": "self_attn.v_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_FROM_BLOCK = {theirs: ours for ours, theirs in _IN_BLOCK.items()}
_OPENAI_TOP = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
}
_OPENAI_NORMS = {"ln_pre": "pre_layrnorm", "ln_post": "post_layernorm"}
_OPENAI_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
QKV = ("q_proj", "k_proj", "v_proj")


def is_unused(name: str) -> bool:
    """Return whether a name belongs to a part of CLIP other than its image encoder."""
    return _UNUSED.search(name) is not None


def to_hugging(name: str, value: W) -> dict[str, W]:
    """Return one of timm's weights as Hugging Face's: one weight, or three for queries, keys and values."""
    if name in _TOP:
        flat = (
            value
            if name == "patch_embed.proj.weight"
            else value.reshape(value.shape[1:] if name == "pos_embed" else -1)
        )
        return {_TOP[name]: flat}
    path, _, leaf = name.rpartition(".")
    if path in _NORMS:
        return {f"{_NORMS[path]}.{leaf}": value}
    _, index, inner = path.split(".", 2)
    start = f"encoder.layers.{index}"
    if inner == "attn.qkv":
        third = len(value) // 3
        return {f"{start}.self_attn.{q}.{leaf}": value[i * third : (i + 1) * third] for i, q in enumerate(QKV)}
    return {f"{start}.{_IN_BLOCK[inner]}.{leaf}": value}


def from_hugging(given: Mapping[str, np.ndarray], split: bool = False) -> dict[str, np.ndarray]:
    """Return Hugging Face's weights as timm's; with `split`, queries, keys and values stay separate."""
    found: dict[str, np.ndarray] = {}
    tops = {theirs: ours for ours, theirs in _TOP.items()}
    norms = {theirs: ours for ours, theirs in _NORMS.items()}
    for name, value in given.items():
        path, _, leaf = name.rpartition(".")
        if name in tops:
            ours = tops[name]
            found[ours] = (
                value
                if ours.startswith("patch")
                else value.reshape(1, *([1] if ours == "cls_token" else []), *value.shape)
            )
        elif path in norms:
            found[f"{norms[path]}.{leaf}"] = value
        else:
            _, _, index, inner = path.split(".", 3)
            which = inner.rpartition(".")[2]
            if which in QKV and not split:
                three = [given[name.replace(which, q)] for q in QKV]
                found[f"blocks.{index}.attn.qkv.{leaf}"] = np.concatenate(three)
            else:
                found[f"blocks.{index}.{_FROM_BLOCK[inner]}.{leaf}"] = value
    return found


def to_canonical(given: Mapping[str, Weight]) -> tuple[dict[str, Weight], dict[str, Weight]]:
    """Return the image encoder's weights under Hugging Face's names, and all others unchanged."""
    encoder: dict[str, Weight] = {}
    others: dict[str, Weight] = {}
    for name, value in given.items():
        if is_unused(name):
            others[name] = value
        elif found := _HUGGING.match(name):
            encoder[found[1]] = value
        elif found := _OPENAI.match(name):
            encoder |= _from_openai(found[1], value)
        else:
            others[name] = value
    return encoder, others


def _from_openai(name: str, value: Weight) -> dict[str, Weight]:
    if name == "proj":
        return {PROJECTION: value.T}
    if name in _OPENAI_TOP:
        return {_OPENAI_TOP[name]: value}
    path, _, leaf = name.rpartition(".")
    if path in _OPENAI_NORMS:
        return {f"{_OPENAI_NORMS[path]}.{leaf}": value}
    _, _, index, inner = name.split(".", 3)
    start = f"encoder.layers.{index}"
    if inner.startswith("attn.in_proj_"):
        third, leaf = len(value) // 3, inner.removeprefix("attn.in_proj_")
        return {f"{start}.self_attn.{q}.{leaf}": value[i * third : (i + 1) * third] for i, q in enumerate(QKV)}
    module = inner.rpartition(".")[0]
    return {f"{start}.{_OPENAI_IN_BLOCK[module]}.{leaf}": value}
