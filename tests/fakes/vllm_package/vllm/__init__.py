"""A simulator of the `vllm` package with the signatures of 0.33.0, for processes that have it on PYTHONPATH.

C500_FAKE_VLLM names a JSON file that says how it behaves; see `tests.fakes.vllm.Behaviour`.
"""

from vllm.control import behaviour
from vllm.entrypoints.llm import LLM
from vllm.sampling_params import SamplingParams

__version__ = behaviour()["version"]

__all__ = ["LLM", "SamplingParams", "__version__"]
