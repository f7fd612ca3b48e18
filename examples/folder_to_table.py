"""Classify a folder of photos into a table, and see which to look at: pandas does the rest.

python examples/folder_to_table.py photos labels.csv
"""

import sys
from pathlib import Path

import pandas as pd

from edgetl_device import Device, EdgetlError
from edgetl_device.photo_folders import photos_in


def table_of(folder: Path) -> pd.DataFrame:
    """One row for each photo in a folder, whatever lies deeper in it included."""
    rows = []
    with Device() as device:
        for path in photos_in(folder).photos:
            try:
                prediction = device.classify(path)
            except EdgetlError as error:  # damaged
                print(f"skipped: {error}", file=sys.stderr)
                continue
            rows.append(
                {
                    "path": path.relative_to(folder).as_posix(),
                    "label": prediction.label,
                    "probability": prediction.probability,
                    "unknown": prediction.unknown,
                }
            )
    return pd.DataFrame(rows, columns=["path", "label", "probability", "unknown"])


def main(folder: str, output: str) -> None:
    """Write the table, print counts and the photos it is least sure of."""
    table = table_of(Path(folder))
    table.to_csv(output, index=False)
    print(table.groupby("label").agg(photos=("path", "count"), unknown=("unknown", "sum")))
    print(table.sort_values("probability").head(5).to_string(index=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: folder_to_table.py FOLDER TABLE.csv", file=sys.stderr)
        raise SystemExit(2)
    main(*sys.argv[1:])
