"""Numbers from a real Prometheus, and values within queries."""

from collections.abc import Iterator

import httpx
import pytest

from blocks.errors import BadInput, EngineUnavailable
from blocks.settings import settings
from tasks.ops.runbook.metric import ask_prometheus, rendered, unquoted
from tasks.ops.runbook.template import parse_template
from tests.fakes.monitoring import running_prometheus
from tests.processes import free_port
from tests.tasks.ops.runbook.test_hostile import CORPUS


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes nothing; its address."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), {"scrape_configs": []}) as url:
        yield url


@pytest.fixture
def asked(prometheus: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings name the Prometheus."""
    monkeypatch.setenv("PROMETHEUS_URL", prometheus)
    settings.cache_clear()
    return prometheus


async def test_a_query_gives_one_number(asked: str) -> None:
    assert await ask_prometheus("vector(3.5)") == 3.5
    assert await ask_prometheus("2 * 3") == 6
    assert await ask_prometheus("absent_metric") is None
    assert await ask_prometheus("vector(0) / vector(0)") is None


async def test_what_gives_none_is_typed(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="2 numbers"):
        await ask_prometheus('label_replace(vector(1), "a", "b", "", "") or vector(2)')
    with pytest.raises(BadInput, match="refuses"):
        await ask_prometheus("sum(")
    monkeypatch.setenv("PROMETHEUS_URL", f"http://127.0.0.1:{free_port()}")
    settings.cache_clear()
    with pytest.raises(EngineUnavailable):
        await ask_prometheus("vector(1)")


@pytest.mark.parametrize("value", [one for one in CORPUS if len(one) < 1000])
async def test_a_value_in_a_query_is_a_label_to_prometheus(asked: str, value: str) -> None:
    query = rendered(
        parse_template('label_replace(vector(1), "a", "{{ v }}", "", "") and on() vector(1)'), {"v": value}
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{asked}/api/v1/query", data={"query": query})
    [one] = answer.json()["data"]["result"]
    # The replacement of label_replace has `$name` for groups; all else is what the label holds.
    assert one["metric"].get("a", "") == value or "$" in value


def test_values_stand_within_double_quotes_only() -> None:
    for wrong in ("up{a={{ v }}}", "{{ v }}", "up{a='{{ v }}'}", 'up{a="x"}[{{ v }}]', "up{a=`{{ v }}`}"):
        assert unquoted(parse_template(wrong))
    for right in ('up{a="{{ v }}"}', 'up{a="x\\"{{ v }}"}', "up > 1", 'up{a="{{ v }}", b="{{ v }}"}'):
        assert not unquoted(parse_template(right))
