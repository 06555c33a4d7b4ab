"""Tiny model files: `from tiny_models import write_onnx, save_classifier`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


def write_onnx(
    path: Path, weight: np.ndarray, shape: tuple[object, ...] = ("n", 3, "s", "s"), ends_in: str = ""
) -> Path:
    """Write a model that returns channel means times `weight` (3, K), through `ends_in` if given."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    names = ["pooled", "flat", "logits", "out"]
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
        helper.make_node(ends_in or "Identity", ["logits"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        names[-1],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, weight.shape[1]])],
        [numpy_helper.from_array(weight.astype(np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


def save_classifier(folder: Path, labels: list[str], processor: dict[str, object] | None) -> Path:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", id2label=dict(enumerate(labels))
    )
    model = transformers.ResNetForImageClassification(config)
    model.save_pretrained(folder, safe_serialization=True)
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
