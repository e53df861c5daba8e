"""`python -m training.text`: draws the lessons and trains, in the training environment; evaluates in the project's."""

import argparse
from pathlib import Path


def main() -> None:
    """Reads the command line. The parts are imported late: `evaluate` needs no torch."""
    parser = argparse.ArgumentParser(prog="python -m training.text", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="fetch what is needed, draw the lessons, train, export")
    training.add_argument("--sources", type=Path, default=Path(".data/training/sources"))
    training.add_argument("--out", type=Path, default=Path(".data/training/text"))
    training.add_argument("--quick", action="store_true", help="minutes instead of an hour: proves that it all runs")
    training.add_argument("--start", type=Path, help="a former result to go on from")
    measuring = commands.add_parser("evaluate", help="print what is found at which scale")
    measuring.add_argument(
        "--pictures", type=Path, help="a folder; without it, drawn scenes that no lesson was made of"
    )
    measuring.add_argument("--ground-truth", type=Path, help="its list of what stands where")
    measuring.add_argument("--scenes", type=int, default=42)
    for each in (training, measuring):
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
    else:
        from training.text.evaluate import table

        print(table(given.weights, given.scenes, given.pictures, given.ground_truth))


def _train(sources: Path, weights: Path, out: Path, start: Path | None, *, quick: bool) -> None:
    from services.redactor.weights import TEXT_DETECTION, require
    from training.tattoos.sources import fetch
    from training.text.lessons import NUMBERS, QUICK_NUMBERS, write_all
    from training.text.train import QUICK, Plan, train

    fetch(sources)
    teacher = require(weights) / TEXT_DETECTION
    lessons = out / "lessons"
    write_all(lessons, teacher, sources, QUICK_NUMBERS if quick else NUMBERS)
    made, sha256 = train(lessons, teacher, out, QUICK if quick else Plan(), start=start)
    print(f"{made}: sha256 {sha256}")


if __name__ == "__main__":
    main()
