"""A model's fix: texts of the test file only, under the same guard, and told to be the model's."""

import json

import pytest

from blocks.settings import settings
from tests.fakes.llm.agent_model import agent_model
from tests.fakes.repository import Repo
from tests.tasks.ops.fixing.conftest import CART, Fixing

TAXED = CART.replace("prices):\n", "prices, tax):\n", 1)


def answer(old: str, new: str) -> str:
    return json.dumps({"edits": [{"old": old, "new": new}], "why": "it takes a tax now"})


async def test_a_fix_of_a_model_is_tried_like_any_other(repo: Repo, fixing: Fixing) -> None:
    repo.put({"shop/cart.py": TAXED})
    with agent_model(settings().accounts_file, answer("total([1, 2])", "total([1, 2], 0)")) as model:
        (fix,) = (await fixing()).fixes
    assert (fix.status, fix.rule, fix.runs) == ("fixed", "model scripted", (1, 1, 1))
    assert "total([1, 2], 0)" in repo.git("show", f"{fix.branch}:tests/test_cart.py")
    assert "def total(prices, tax)" in model.script.prompts[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("assert total([1, 2]) == 3", "assert True"),
        ("def test_total():", "import pytest\n\n\n@pytest.mark.skip\ndef test_total():"),
        ("total([1, 2]) == 3", "total([1, 2], 0) == 4"),
    ],
    ids=["asserts nothing", "skips", "expects another value"],
)
async def test_a_model_cannot_thin_a_test_out(repo: Repo, fixing: Fixing, old: str, new: str) -> None:
    repo.put({"shop/cart.py": TAXED})
    with agent_model(settings().accounts_file, answer(old, new)):
        (fix,) = (await fixing()).fixes
    assert fix.status == "refused"
    assert repo.git("branch", "--format=%(refname:short)") == "main"


async def test_a_fix_that_does_not_help_makes_no_branch(repo: Repo, fixing: Fixing) -> None:
    repo.put({"shop/cart.py": TAXED.replace("sum(prices)", "sum(prices) + tax")})
    with agent_model(settings().accounts_file, answer("total([1, 2])", "total([1, 2], 5)")):
        (fix,) = (await fixing()).fixes
    assert (fix.status, fix.runs) == ("did_not_pass", ())
    assert repo.git("branch", "--format=%(refname:short)") == "main"


async def test_texts_that_do_not_stand_there_once_are_no_fix(repo: Repo, fixing: Fixing) -> None:
    repo.put({"shop/cart.py": TAXED})
    with agent_model(settings().accounts_file, answer("total", "sum")):
        (fix,) = (await fixing()).fixes
    assert fix.status == "no_fix"
