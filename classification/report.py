"""Gather a run into one page for the browser: metrics, a table of cases, and each case with its map.

    python classification/report.py                                 the predictions, maps and biomarkers of test_name
    python classification/report.py -i FOLDER -o FILE               predictions of another folder, the page elsewhere
    python classification/report.py --pairs output --maps FOLDER    other radiographs, other maps
    python classification/report.py --biomarkers FILE

Reads predictions.csv, metrics.json and report.json from classification/inference.py and, if they exist, the pairs, the
maps of visualize_cnn.py, biomarkers.csv and masks.csv. Writes report.html, which needs no network connection. Up to 500
cases (--embed) the page holds their pictures; with more cases they lie in a folder beside it, report_files.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from classification import header
from classification.page import contents, store
from cxr.settings import config


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", metavar="FOLDER", help="predictions (default: dir_save/test_name)")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: report.html in the folder of predictions")
    told = "folders of pairs (default: those in metrics.json, else dir_split/test, else dir_pairs)"
    parser.add_argument("--pairs", nargs="+", metavar="FOLDER", help=told)
    parser.add_argument("--maps", metavar="FOLDER", help="of visualize_cnn.py (default: cams in the predictions)")
    told = "biomarkers.csv (default: in the folder biomarkers of the pairs, of the folder above, or of a split's pairs)"
    parser.add_argument("--biomarkers", metavar="FILE", help=told)
    store.add_flag(parser)
    settings, options = config.load(header, parser=parser)
    folder = Path(options.input or Path(settings.dir_save) / settings.test_name).absolute()
    output = Path(options.output or folder / "report.html").absolute()
    with opening.asked():
        store.take(output)
        content, places, maps_of = contents.gather(folder, settings, options)

    store.write(output, content, places, maps_of, options.embed, max(settings.num_workers, 1))


if __name__ == "__main__":
    main()
