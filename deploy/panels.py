#!/usr/bin/env python3
"""Runs every query of the dashboards against a Prometheus and prints how many series have data.

    python3 deploy/panels.py http://localhost:9090

Exit code 1 when a panel has a query without data. The rate interval of Grafana is taken as one minute.
"""
import json
import math
import pathlib
import sys
import urllib.parse
import urllib.request

FOLDER = pathlib.Path(__file__).parent / "grafana" / "dashboards"


def series(prometheus, query):
    """Series of an instant query that have a value; a quantile of nothing is NaN."""
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    return sum(not math.isnan(float(sample["value"][1])) for sample in result)


def main():
    prometheus = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://localhost:9090"
    queries = empty = 0
    for file in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                count = series(prometheus, target["expr"].replace("$__rate_interval", "1m"))
                queries, empty = queries + 1, empty + (count == 0)
                print(f"{count:4}  {file.stem}: {panel['title']} ({target['legendFormat']})")
    print(f"{queries} queries, {empty} without data")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
