"""ONNX Runtime and treelite on the same trees; run by the Python of .venv-peers."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
import onnx.helper  # type: ignore[import-not-found]  # of .venv-peers
import onnxruntime  # type: ignore[import-not-found]
import treelite  # type: ignore[import-not-found]

from benchmarks.kernel_peers.question import SIZES, asked, cpu_us, trained


def plain(value: Any) -> Any:
    """A value as onnx takes it: skl2onnx 1.20 hands it NumPy arrays and booleans, which newer onnx refuses."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return int(value) if isinstance(value, bool) else value


def session(model: Any, X: Any) -> Any:
    """The model in ONNX Runtime, float32 because float64 trees do not load, on one thread."""
    make = onnx.helper.make_attribute
    onnx.helper.make_attribute = lambda key, value, *rest, **named: make(key, plain(value), *rest, **named)
    from skl2onnx import to_onnx  # type: ignore[import-not-found]

    converted = to_onnx(model, X[:1].astype(np.float32), options={id(model): {"zipmap": False}})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(converted.SerializeToString(), options)


def main() -> None:
    """Measure, and write the answers to the file that is named."""
    warnings.simplefilter("ignore")
    X, y = asked()
    model = trained(X, y)
    onnx_model, forest = session(model, X), treelite.sklearn.import_model(model)
    given, told = onnx_model.get_inputs()[0].name, [onnx_model.get_outputs()[1].name]
    answers = {
        "onnxruntime f32": (lambda rows: onnx_model.run(told, {given: rows})[0], X.astype(np.float32)),
        "treelite": (lambda rows: treelite.gtil.predict(forest, rows, nthread=1), X),
        "sklearn (peers)": (model.predict_proba, X),
    }
    timed = {name: {n: cpu_us(answer, rows, n) for n in SIZES} for name, (answer, rows) in answers.items()}
    np.savez(sys.argv[1], **{name: answer(rows).reshape(len(X), -1)[:, -1] for name, (answer, rows) in answers.items()})
    print(json.dumps(timed))


if __name__ == "__main__":
    main()
