"""What is asked for: replies, or a measurement of how fast they come."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from blocks.model import Frozen
from tasks.fast_response.goals import DEFAULT_GOALS, Goal
from tasks.fast_response.latencies import least_samples

Form = Literal["flat", "chat"]
"""The history as one flattened text, or as messages with roles."""

MAX_NUM_SEQS = 16
"""What the servers of this are started with: `vllm serve --max-num-seqs 16`."""


class FastOptions(Frozen):
    """How a reply is asked for.

    Attributes:
        model: By its name in `accounts.yaml`; None for one of the tier `simple`.
        accounts: Only accounts of these names or labels; empty for all.
        form: How the model is given the history.
        system: Instead of our system prompt.
        max_tokens: The most tokens of a reply.
        max_model_len: Tokens that prompt and reply have together: what the server was started with.
        temperature: None for the server's default.
        deadline_s: Seconds after which a reply is of no use any more.
        user: Who pays.
    """

    model: str | None = None
    accounts: tuple[str, ...] = ()
    form: Form = "flat"
    system: Annotated[str, Field(min_length=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1024)] = 50
    max_model_len: Annotated[int, Field(ge=64, le=2**20)] = 1024
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    user: str = "anonymous"

    @model_validator(mode="after")
    def _leaves_room(self) -> "FastOptions":
        if self.max_tokens >= self.max_model_len:
            raise ValueError("max_tokens leaves no room for a prompt within max_model_len")
        return self


class ReplyOptions(FastOptions):
    """How replies are asked for.

    Attributes:
        concurrency: The most at once.
    """

    concurrency: Annotated[int, Field(ge=1, le=1000)] = MAX_NUM_SEQS


class LoadOptions(FastOptions):
    """How a server is measured: with callers that wait for each other (closed loop), at a rate (open loop), or both.

    Attributes:
        requests: Measured requests of each loop.
        warmup: Requests before, which are not counted.
        concurrency: Callers of the closed loop, each with one request at a time. None: no closed loop, unless there is
            no rate either; then `max_num_seqs`.
        rate_per_s: Requests a second of the open loop, however slowly they are answered. None for no open loop.
        arrivals: At even distances, or at random ones of the same mean, as independent callers come (Poisson).
        seed: Of the random distances.
        max_num_seqs: How many the server works on at once. More callers of the closed loop would measure a queue of
            their own making.
        goals: What must hold, of each loop.
        max_error_share: The most requests that may fail, as a share.
        min_usable_share: The least replies without a fault of quality, as a share; None: they are told, not judged.
        server_metrics: Whether servers of provider `vllm` are asked for their own latencies.
    """

    requests: Annotated[int, Field(ge=2, le=100_000)] = 200
    warmup: Annotated[int, Field(ge=0, le=10_000)] = MAX_NUM_SEQS
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    rate_per_s: Annotated[float, Field(gt=0, le=10_000)] | None = None
    arrivals: Literal["even", "random"] = "even"
    seed: int = 0
    max_num_seqs: Annotated[int, Field(ge=1, le=1000)] = MAX_NUM_SEQS
    goals: tuple[Goal, ...] = DEFAULT_GOALS
    max_error_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    min_usable_share: Annotated[float, Field(ge=0, le=1)] | None = None
    server_metrics: bool = True

    @property
    def callers(self) -> int | None:
        """Callers of the closed loop; None without one."""
        return self.concurrency or (None if self.rate_per_s else self.max_num_seqs)

    @model_validator(mode="after")
    def _is_honest(self) -> "LoadOptions":
        if self.concurrency is not None and self.concurrency > self.max_num_seqs:
            raise ValueError(
                f"{self.concurrency} callers of a server that works on {self.max_num_seqs} at once only wait for each "
                "other; measure its queue by a rate, in an open loop"
            )
        for goal in self.goals:
            if self.requests < (needed := least_samples(goal.percent)):
                raise ValueError(f"p{goal.percent} of {self.requests} requests says nothing: it needs {needed}")
        return self
