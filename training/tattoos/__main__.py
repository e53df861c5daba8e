"""`python -m training.tattoos`: train, draw and export in the training environment, evaluate in the project's."""

import argparse
import json
from pathlib import Path


def main() -> None:
    """Reads the command line. The parts are imported late: `evaluate` needs no torch, the others no redactor."""
    parser = argparse.ArgumentParser(prog="python -m training.tattoos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="fetch the sources, train, export")
    training.add_argument("--sources", type=Path, default=Path(".data/training/sources"))
    training.add_argument("--out", type=Path, default=Path(".data/training/tattoos"))
    training.add_argument("--quick", action="store_true", help="minutes instead of an hour: proves that it all runs")
    exporting = commands.add_parser("export", help="write trained weights as ONNX")
    exporting.add_argument("weights", type=Path)
    exporting.add_argument("target", type=Path)
    drawing = commands.add_parser("draw", help="write generated pictures with their ground truth")
    drawing.add_argument("target", type=Path)
    drawing.add_argument("--sources", type=Path, default=Path(".data/training/sources"))
    drawing.add_argument("--count", type=int, default=200)
    drawing.add_argument("--seed", type=int, default=7)
    measuring = commands.add_parser("evaluate", help="print the curve of found and touched")
    measuring.add_argument("pictures", type=Path)
    measuring.add_argument("ground_truth", type=Path)
    measuring.add_argument("--engine", default="onnxruntime", choices=["onnxruntime", "openvino"])
    measuring.add_argument("--weights", type=Path, default=Path(".data/weights"))
    measuring.add_argument("--side", type=int, default=None, help="longer side in pixels at which tattoos are sought")
    given = parser.parse_args()
    if given.command == "train":
        _train(given.sources, given.out, quick=given.quick)
    elif given.command == "export":
        from training.tattoos.export import export

        print(f"{given.target}: sha256 {export(given.weights, given.target)}")
    elif given.command == "draw":
        _draw(given.target, given.sources, given.count, given.seed)
    else:
        _evaluate(given)


def _train(sources: Path, out: Path, *, quick: bool) -> None:
    from training.tattoos.export import export
    from training.tattoos.sources import fetch, load
    from training.tattoos.train import QUICK, Plan, train

    fetch(sources)
    weights = train(load(sources), out, QUICK if quick else Plan())
    target = out / "tattoos.onnx"
    print(f"{target}: sha256 {export(weights, target)}")


def _draw(target: Path, sources: Path, count: int, seed: int) -> None:
    import cv2
    import numpy as np

    from training.tattoos.scenes import STRIDE, TATTOO, scene
    from training.tattoos.sources import load

    loaded, random = load(sources), np.random.default_rng(seed)
    listed = []
    for index in range(count):
        folder = "tattooed" if index % 2 else "without"
        made = scene(random, loaded, tattooed=float(index % 2))
        name = f"{folder}/{index:04}.png"
        (target / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target / name), made.pixels[:, :, ::-1])
        _, _, stats, _ = cv2.connectedComponentsWithStats((made.labels == TATTOO).astype(np.uint8))
        boxes = [
            {"kind": "tattoo", "box": [int(v) for v in (x * STRIDE, y * STRIDE, (x + w) * STRIDE, (y + h) * STRIDE)]}
            for x, y, w, h, cells in stats[1:]
            if cells >= 4
        ]
        listed.append({"file": name, "boxes": boxes})
    (target / "ground_truth.json").write_text(json.dumps(listed))


def _evaluate(given: argparse.Namespace) -> None:
    from services.redactor.detectors.tattoos import SIDE_PX
    from services.redactor.inference import EngineKind, make_engine
    from training.tattoos.evaluate import evaluate, table

    engine = make_engine(EngineKind(given.engine), given.weights)
    print(table(evaluate(engine, given.pictures, given.ground_truth, side_px=given.side or SIDE_PX)))


if __name__ == "__main__":
    main()
