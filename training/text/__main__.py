"""`python -m training.text`: draws the lessons and trains, in the training environment; evaluates in the project's."""

import argparse
import hashlib
from pathlib import Path

PACKAGED = Path("services/redactor/models/text.onnx")
WIDE = Path(".data/training/text/wide/text.onnx")


def main() -> None:
    """Reads the command line. The parts are imported late: `evaluate` needs no torch."""
    parser = argparse.ArgumentParser(prog="python -m training.text", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="fetch what is needed, draw the lessons, train, export")
    training.add_argument("--start", type=Path, help="a former wide/text.onnx to go on from")
    coding = commands.add_parser(
        "codes", help="teach a trained network to hint at codes, its map of lettering as it is"
    )
    coding.add_argument("--network", type=Path, default=PACKAGED, help="the trained network")
    narrowing = commands.add_parser("narrow", help="teach a narrower network what the taught one sees")
    narrowing.add_argument(
        "--taught",
        type=Path,
        default=WIDE,
        help="what `train` gave, not yet narrowed; the shipped one came from commit 581baf4's text.onnx",
    )
    for each in (training, coding, narrowing):
        each.add_argument("--sources", type=Path, default=Path(".data/training/sources"))
        each.add_argument("--out", type=Path, default=Path(".data/training/text"))
        each.add_argument("--quick", action="store_true", help="minutes instead of hours: proves that it all runs")
    measuring = commands.add_parser("evaluate", help="print what is found at which scale")
    measuring.add_argument(
        "--pictures", type=Path, help="a folder; without it, drawn scenes that no lesson was made of"
    )
    measuring.add_argument("--ground-truth", type=Path, help="its list of what stands where")
    measuring.add_argument("--scenes", type=int, default=42)
    for each in (training, narrowing, measuring):
        each.add_argument("--weights", type=Path, default=Path(".data/weights"), help="what `make weights` has fetched")
    given = parser.parse_args()
    if given.command == "evaluate":
        if (given.pictures is None) != (given.ground_truth is None):
            measuring.error("--pictures and --ground-truth go together")
        for path in (given.pictures, given.ground_truth):
            if path is not None and not path.exists():
                measuring.error(f"{path} does not exist")
    if given.command == "train":
        _train(given.sources, given.weights, given.out, given.start, quick=given.quick)
    elif given.command == "narrow":
        if not given.taught.is_file():
            narrowing.error(f"{given.taught} does not exist")
        _narrow(given.taught, given.sources, given.weights, given.out, quick=given.quick)
    elif given.command == "codes":
        if not given.network.is_file():
            coding.error(f"{given.network} does not exist")
        _hint_at_codes(given.network, given.sources, given.out, quick=given.quick)
    else:
        from training.text.evaluate import table

        print(table(given.weights, given.scenes, given.pictures, given.ground_truth))


def _train(sources: Path, weights: Path, out: Path, start: Path | None, *, quick: bool) -> None:
    from services.redactor.weights import TEXT_DETECTION, require
    from training.text.train import QUICK, Plan, train

    lessons = _lessons(sources, weights, out, quick=quick)
    original = require(weights) / TEXT_DETECTION
    made = train(lessons, original, out / "wide", QUICK if quick else Plan(), start=start)
    _narrow(made, sources, weights, out, quick=quick)


def _lessons(sources: Path, weights: Path, out: Path, *, quick: bool) -> Path:
    from services.redactor.weights import TEXT_DETECTION, require
    from training.tattoos.sources import fetch
    from training.text.lessons import NUMBERS, QUICK_NUMBERS, write_all

    fetch(sources)
    lessons = out / "lessons"
    write_all(lessons, require(weights) / TEXT_DETECTION, sources, QUICK_NUMBERS if quick else NUMBERS)
    return lessons


def _narrow(taught: Path, sources: Path, weights: Path, out: Path, *, quick: bool) -> None:
    from training.text.distil import FULL, QUICK, distil

    lessons = _lessons(sources, weights, out, quick=quick)
    made = distil(lessons, taught, out, QUICK if quick else FULL)
    _hint_at_codes(made, sources, out, quick=quick)


def _hint_at_codes(network: Path, sources: Path, out: Path, *, quick: bool) -> None:
    from training.tattoos.sources import fetch
    from training.text.code_lessons import NUMBERS, QUICK_NUMBERS, write_all
    from training.text.code_map import EPOCHS, QUICK_EPOCHS, attach, train

    fetch(sources)
    lessons = out / f"codes-{hashlib.sha256(network.read_bytes()).hexdigest()[:8]}"
    write_all(lessons, network, sources, QUICK_NUMBERS if quick else NUMBERS)
    made = out / "text.onnx"
    attach(network, train(lessons, out, QUICK_EPOCHS if quick else EPOCHS), made)
    print(f"{made}: sha256 {hashlib.sha256(made.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
