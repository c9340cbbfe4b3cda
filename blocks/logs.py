"""JSON logs: one line an event, to a file of this machine and to the job that the event belongs to."""

import logging
from collections.abc import MutableMapping
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import Processor

from blocks import timeline
from blocks.redact import Redactor, default_redactor
from blocks.settings import Settings, settings


def configure_logs() -> None:
    """Send the log of this process to `LOG_DIR/c500.jsonl`; several processes may share the file."""
    chosen = settings()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_secrets(default_redactor()),
            _keep_for_job,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(chosen.log_level),
        cache_logger_on_first_use=False,
    )
    logger = logging.getLogger("c500")
    logger.propagate = False
    logger.setLevel(chosen.log_level)
    logger.handlers = [_file_handler(chosen)]


def _file_handler(chosen: Settings) -> logging.Handler:
    """A handler that logrotate may rename under; logs only inform, so a bad folder is no error."""
    folder = chosen.log_dir.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _LogFile(folder / "c500.jsonl", encoding="utf-8", delay=True)
    except OSError:
        return logging.NullHandler()


class _LogFile(WatchedFileHandler):
    """The log file, whose folder may be taken away under a long-lived process: no work fails for its log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self._emit_in_new_folder(record)

    def _emit_in_new_folder(self, record: logging.LogRecord) -> None:
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            self.handleError(record)


def _without_secrets(redactor: Redactor) -> Processor:
    """Takes secrets out of events, before they go anywhere."""

    def clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return redactor.value(event)

    return clean


def _keep_for_job(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Note the event for the `log.jsonl` of the job at work in this context."""
    if seen := timeline.current.get():
        seen.events.append(dict(event))
    return event
