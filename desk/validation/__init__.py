"""Everything that can be said about examples without a model, for `frontdesk validate`."""

from desk.validation.checks import conflict
from desk.validation.findings import Finding, Kind, Severity, counted
from desk.validation.mending import Change, Mending
from desk.validation.near import exact_key
from desk.validation.needs import asking_for_person, small_talk
from desk.validation.packs import Checked, check_files, check_pack
from desk.validation.spelling import mistyped

__all__ = [
    "Change",
    "Checked",
    "Finding",
    "Kind",
    "Mending",
    "Severity",
    "asking_for_person",
    "check_files",
    "check_pack",
    "conflict",
    "counted",
    "exact_key",
    "mistyped",
    "small_talk",
]
