"""Results as people read them: Markdown and tables."""

from blocks.batch import BatchReport
from blocks.job import JobResult
from blocks.markdown import markdown_of

SECONDS_PER_MINUTE = 60


def summary_markdown(result: JobResult) -> str:
    """The summary with its notices, and who wrote it."""
    lines = [f"# {_title(result)}", ""]
    if result.status == "no_speech":
        lines += ["No speech was found in this recording.", ""]
    if result.summary is not None:
        lines += markdown_of(result.summary)
        writer = result.versions.language
        lines += [
            "",
            f"*Written by the `{writer.name}` engine, template `{result.versions.template}`.*" if writer else "",
        ]
    if result.notices:
        lines += ["", "## Notices", "", *(f"- **{n.step}** ({n.code}): {n.message}" for n in result.notices)]
    return "\n".join(lines).strip() + "\n"


def _title(result: JobResult) -> str:
    for name in ("title", "tiêu_đề"):
        if result.summary and isinstance(title := result.summary.get(name), str) and title.strip():
            return title.strip()
    return result.source_name


def metrics_rows(result: JobResult) -> list[dict[str, str]]:
    """One row a figure, then one row a step."""
    figures = result.metrics
    shown = {
        "status": result.status,
        "audio": _minutes(figures.input_duration_s),
        "processing time": f"{figures.processing_time_s:.1f} s",
        "real-time factor": _number(figures.rtf, "{:.3f}"),
        "speech coverage": _number(figures.vad_coverage, "{:.0%}"),
        "speech confidence": _number(figures.asr_confidence_avg, "{:.2f}"),
        "edit rate": _number(figures.edit_rate_cleaning, "{:.1%}"),
        "tokens": str(figures.prompt_tokens + figures.completion_tokens or ""),
        "cost": _number(figures.cost_usd or None, "{:.4f} USD"),
        "taken out by the guard": str(result.removed or ""),
        "peak memory": _number(figures.peak_rss_bytes and figures.peak_rss_bytes / 1e6, "{:.0f} MB"),
        "peak GPU memory": _number(figures.peak_vram_bytes and figures.peak_vram_bytes / 1e6, "{:.0f} MB"),
    }
    rows = [{"figure": name, "value": value} for name, value in shown.items() if value]
    return rows + [{"figure": f"step {step}", "value": f"{s:.2f} s"} for step, s in figures.step_time_s.items()]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), SECONDS_PER_MINUTE)
    return f"{minutes}:{rest:02d} min"


def batch_markdown(report: BatchReport) -> str:
    """How many recordings ended how, and what is wrong with those that failed."""
    counts = ", ".join(
        f"{report.count(outcome)} {outcome.replace('_', ' ')}"
        for outcome in ("done", "found", "partial", "no_speech", "failed")
        if report.count(outcome)
    )
    lines = [f"# Batch of {len(report.items)} recordings", "", counts or "nothing to do", ""]
    lines += ["| recording | outcome | job | what to do |", "|---|---|---|---|"]
    for item in report.items:
        advice = f"{item.message}: {item.fix}" if item.message else ""
        lines.append(f"| {_cell(item.source)} | {item.outcome} | {item.job_id or ''} | {_cell(advice)} |")
    if report.ignored:
        lines += ["", f"Ignored, since they are no recordings: {', '.join(map(_cell, report.ignored))}"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
