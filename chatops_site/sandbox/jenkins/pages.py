"""The few pages a person sees who follows a link of the portal into this Jenkins."""

import html
from datetime import UTC, datetime

from chatops_site.sandbox.jenkins import logs, spans, timeline
from chatops_site.sandbox.jenkins.links import Links
from chatops_site.sandbox.jenkins.model import CONTAINERS, Build, Job

_SHOWN_BYTES = 200_000
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;"
    "color:#14141f;background:#fff}pre{background:#14141f;color:#f5f5f7;padding:1rem;"
    "overflow:auto;border-radius:6px}table{border-collapse:collapse}td,th{text-align:left;"
    "padding:.25rem 1rem .25rem 0;vertical-align:top}a{color:#0b5fa5}"
)


def page(title: str, body: str, *, seconds_to_reload: int = 0) -> str:
    reload = f'<meta http-equiv="refresh" content="{seconds_to_reload}">'
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"{reload if seconds_to_reload else ''}<title>{html.escape(title)} [Jenkins]</title>"
        f"<style>{_STYLE}</style></head><body><p>Jenkins, a stand-in of the sandbox</p>"
        f"<h1>{html.escape(title)}</h1>{body}</body></html>"
    )


def _link(address: str, text: str) -> str:
    return f'<a href="{html.escape(address, quote=True)}">{html.escape(text)}</a>'


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _table(rows: list[str], nothing: str) -> str:
    return f"<table>{''.join(rows)}</table>" if rows else f"<p>{html.escape(nothing)}</p>"


def folder_page(folder: Job, links: Links) -> str:
    rows = [_row(_link(links.job(job), job.full_display_name)) for job in folder.children.values()]
    return page(folder.full_display_name or "Dashboard", _table(rows, "There are no jobs here."))


def job_page(job: Job, links: Links, now: float) -> str:
    if job.kind in CONTAINERS:
        return folder_page(job, links)
    rows = [
        _row(
            _link(links.build(build), f"#{build.number}"),
            html.escape(_standing(build, now)),
            _moment(build.started),
        )
        for build in job.newest_first[:50]
    ]
    note = "<p>This job is disabled.</p>" if job.disabled else ""
    return page(job.full_display_name, note + _table(rows, "There are no builds yet."))


def parameter_form(job: Job) -> str:
    """What GET JOB/build shows for a job with parameters: a form, and status 200."""
    fields = "".join(
        f"<p><label>{html.escape(each.name)} "
        f'<input name="{html.escape(each.name, quote=True)}"></label></p>'
        for each in job.parameters
    )
    told = "<p>This build requires parameters:</p>"
    return page(job.full_display_name, f'{told}<form method="post">{fields}</form>')


def build_page(build: Build, links: Links, now: float) -> str:
    causes = "".join(f"<p>{html.escape(cause.text)}</p>" for cause in build.causes)
    values = [_row(html.escape(v.name), html.escape(v.printed)) for v in build.values]
    stages = [
        _row(html.escape(s.name), html.escape(s.status), spans.time_span(s.duration))
        for s in timeline.stages(build, now)
    ]
    body = (
        f"<p><strong>{html.escape(_standing(build, now))}</strong>, started "
        f"{_moment(build.started)}, job {_link(links.job(build.job), build.job.full_name)}</p>"
        f"{causes}<h2>Parameters</h2>{_table(values, 'None.')}"
        f"<h2>Stages</h2>{_table(stages, 'None.')}<h2>Console output</h2>{_console(build, now)}"
    )
    return page(_title(build), body, seconds_to_reload=_reload(build, now))


def console_page(build: Build, now: float) -> str:
    return page(_title(build), _console(build, now), seconds_to_reload=_reload(build, now))


def _console(build: Build, now: float) -> str:
    start = max(0, logs.raw_size(build, now) - _SHOWN_BYTES)
    raw = logs.plain(logs.raw_from(build, start, now))
    skipped = f"<p>The first {start} bytes are left out.</p>" if start else ""
    return f"{skipped}<pre>{html.escape(raw.decode('utf-8', errors='replace'))}</pre>"


def _title(build: Build) -> str:
    return f"{build.job.full_display_name} #{build.number}"


def _standing(build: Build, now: float) -> str:
    if not timeline.is_building(build, now):
        return timeline.final_result(build)
    return "Waiting for input" if timeline.is_paused(build, now) else "Running"


def _reload(build: Build, now: float) -> int:
    return 2 if timeline.is_building(build, now) else 0


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
