"""make page: a page is of one folder as it is now; the scripts, tested elsewhere, are stood in for by one that ends."""

import shutil
import subprocess

from conftest import ROOT


def test_a_page_of_other_files_is_refused(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / ".venv" / "bin" / "python").write_text("#!/bin/sh\n")
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    for name in ("a/x rays/one.png", "a/x rays/two.png", "b/x rays/two.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def page(folder):
        words = ["make", "--no-print-directory", "page", f"FOLDER={folder}/x rays"]  # `make test` would have it print
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout

    assert page("a") == page("a") == (0, "")
    gone = f"output/page/x rays also shows {tmp_path / 'a' / 'x rays' / 'one.png'}, which is not in"
    code, told = page("b")
    assert code == 2 and told.startswith(gone) and "rename FOLDER, or delete output/page/x rays" in told
    assert page("a") == (0, "")
    (tmp_path / "a" / "x rays" / "one.png").unlink()
    assert page("a")[1].startswith(gone)
