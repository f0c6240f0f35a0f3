"""What a result was made from: a digest of the whole content."""

from cxr import digest


def test_one_byte_anywhere_in_a_large_file_is_noticed(tmp_path):
    file = tmp_path / "x.mask.npy"
    content = bytearray(7_500_000)
    found = []
    for place in (None, 100_000, 3_750_000, 7_400_000):
        if place:
            content[place] = 1
        file.write_bytes(content)
        found.append(digest.of_file(file))
    assert len(set(found)) == 4 and digest.of_files([file, tmp_path / "gone"]) == [found[-1], ""]
