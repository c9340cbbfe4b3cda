"""How full disks are, and the ballast."""

from pathlib import Path

import pytest

from tasks.ops.cleanup.disk import BALLAST, BALLAST_BYTES, disk_of, disks_of, drop_ballast, keep_ballast
from tasks.ops.cleanup.report import disk_lines
from tests.tasks.ops.cleanup.conftest import fill


def test_a_disk_is_as_full_as_df_says(small_disk: Path) -> None:
    assert disk_of(small_disk).used_percent < 1
    (small_disk / "half").write_bytes(b"x" * (2 << 20))
    half = disk_of(small_disk)
    assert half.used_percent == pytest.approx(50, abs=0.2)
    assert (half.size_bytes, half.free_bytes) == (4 << 20, 2 << 20)
    fill(small_disk)
    assert (disk_of(small_disk).used_percent, disk_of(small_disk).free_bytes) == (100, 0)


def test_each_disk_is_told_once_also_of_places_that_are_not_there_yet(small_disk: Path, tmp_path: Path) -> None:
    found = disks_of([tmp_path, tmp_path / "none" / "deep", small_disk / "logs", small_disk])
    assert [one.place for one in found] == [str(tmp_path), str(small_disk)]
    assert str(small_disk) in disk_lines(found)[-1]


def test_the_ballast_is_kept_where_there_is_room_and_given_up_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    assert not keep_ballast(small_disk)
    assert not (small_disk / BALLAST).exists()
    assert keep_ballast(tmp_path)
    assert (tmp_path / BALLAST).stat().st_blocks * 512 >= BALLAST_BYTES
    assert not drop_ballast(tmp_path)
    (small_disk / BALLAST).write_bytes(b"x" * 1_000_000)
    fill(small_disk)
    assert drop_ballast(small_disk)
    assert disk_of(small_disk).free_bytes >= 1_000_000
    assert not drop_ballast(small_disk)


def test_a_link_in_the_place_of_the_ballast_is_left_alone(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    (small_disk / BALLAST).symlink_to(tmp_path / "precious")
    assert not drop_ballast(small_disk)
    assert (tmp_path / "precious").exists()
