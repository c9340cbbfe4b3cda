"""The files that the test scheduler knows by name."""

from pathlib import Path

import pytest

from tests.sharing import LONG

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("file", sorted(LONG))
def test_a_file_that_goes_first_exists(file: str) -> None:
    assert (ROOT / file).is_file()
