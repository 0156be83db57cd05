"""A plan in words: for the node's text output, the log, the command line and API users' errors."""

from __future__ import annotations

from .load_plan import LoadPlan, PlannedFile, StagePlan
from .memory import gib


def plan_text(plan: LoadPlan) -> str:
    """The whole plan, some twenty short lines."""
    machine = plan.hardware
    facts = [f"{gib(machine.ram_total_bytes)} RAM", f"ComfyUI {machine.host_version}"]
    if not machine.one_memory:
        facts.insert(0, f"{gib(machine.vram_total_bytes)} VRAM")
        facts.append(f"dynamic VRAM {'on' if machine.dynamic_vram else 'off'}")
    lines = [f"{machine.device_name}: {', '.join(facts)}"]
    if plan.error:
        return "\n".join([*lines, plan.error])
    lines.append(f"{plan.release}, {plan.recipe}: {plan.recipe_reason}")
    if plan.settings is not None:
        s = plan.settings
        extra = f", cfg norm {s.cfg_norm:g}" if s.cfg_norm else ""
        lines.append(
            f"{s.steps} steps, cfg {s.cfg:g}, {s.sampler_name}, {s.scheduler}, shift {s.shift:g}{extra} ({s.source})"
        )
    lines += [_file_line(file) for file in plan.files]
    lines += [_stage_line(stage) for stage in plan.stages]
    reread = "; read from disk again on every step" if plan.rereads_from_disk else ""
    lines.append(f"RAM wanted: {gib(plan.ram_needed_bytes)} of {gib(machine.ram_total_bytes)}{reread}")
    lines.append(f"Modulation table: {'on' if plan.modulation_table else 'off'}, {plan.modulation_reason}")
    lines += [f"Warning: {w.message} {w.cure}" for w in plan.warnings]
    lines += [f"Not used: {r.name}: {r.reason}" for r in plan.refusals]
    return "\n".join(lines)


def missing_text(plan: LoadPlan) -> str:
    """The error for a run whose files are not there: each file with its size, link and folder, and the next step."""
    total = sum(f.size_bytes for f in plan.missing)
    lines = [f"{len(plan.missing)} file(s) for {plan.release} are not on disk ({gib(total)} in all):"]
    for file in plan.missing:
        lines.append(f"- {file.name} ({gib(file.size_bytes)}) -> models/{file.folder}/")
        lines.append(f"  {file.url}")
    lines.append(
        "Switch 'download_missing' on to let this node fetch them, use the Download button on the node, "
        "or put the files there yourself and press R in the editor."
    )
    lines += [f"{w.message} {w.cure}" for w in plan.warnings if w.code == "broken_file"]
    return "\n".join(lines)


def _file_line(file: PlannedFile) -> str:
    where = f"models/{file.folder}/{file.listed_name}" if file.on_disk else f"models/{file.folder}/ (missing)"
    return f"{file.role}: {file.name}, {file.weight_format}, {gib(file.size_bytes)}, {where}: {file.reason}"


def _stage_line(stage: StagePlan) -> str:
    every = "per step" if stage.stage == "sample" else "once"
    return (
        f"{stage.stage} on {stage.device}: {gib(stage.resident_bytes)} resident, {gib(stage.streamed_bytes)} moved "
        f"{every}, {gib(stage.activation_bytes)} working memory, peak {gib(stage.peak_vram_bytes)}: {stage.note}"
    )
