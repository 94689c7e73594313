"""Texts a second of Python's VADER over files of text, tab, label: `pip install vaderSentiment`, then
`python3 tests/sentiment/vader.py FILE.tsv...`; beside `cargo bench --bench sentiment -- FILE.tsv...`."""

import sys
import time

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

analyzer = SentimentIntensityAnalyzer()
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as lines:
        texts = [line.rstrip("\n").rsplit("\t", 1)[0] for line in lines][:2000]
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for text in texts:
            analyzer.polarity_scores(text)
        best = min(best, time.process_time() - start)
    print(f"{path}: {len(texts) / best:.0f} /s of CPU time")
