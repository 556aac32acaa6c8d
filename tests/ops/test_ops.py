"""The dashboard, the alerts and their documentation name what the code has, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from desk import metrics
from tests.ops.queries import labels, problems

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "ops" / "grafana" / "frontdesk.json"
ALERTS = ROOT / "ops" / "prometheus" / "alerts.yml"
PROMETHEUS = ROOT / "ops" / "prometheus" / "prometheus.yml"
ALERTMANAGER = ROOT / "ops" / "alertmanager.example.yml"
MONITORING = ROOT / "docs" / "monitoring.md"
Json = dict[str, Any]
WATCHDOG = "FrontdeskWatchdog"
"""It fires always: whoever misses it knows that no alert would arrive."""


def dashboard() -> Json:
    found: Json = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[Json]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def alerts() -> dict[str, Json]:
    loaded = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return {rule["alert"]: rule for group in loaded["groups"] for rule in group["rules"]}


def queries() -> dict[str, str]:
    """Every query of the dashboard and the alerts, by where it stands."""
    found = {f"alert {name}": str(rule["expr"]) for name, rule in alerts().items()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        found[f"annotation {annotation['name']}"] = annotation["expr"]
    return found


@pytest.mark.parametrize("query", queries().values(), ids=queries())
def test_every_query_names_metrics_and_labels_that_exist(query: str) -> None:
    assert list(problems(query, labels())) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sum(frontdesk_happiness)", "frontdesk_happiness is no metric"),
        ("frontdesk_updates", "frontdesk_updates is no metric"),
        ('frontdesk_decisions_total{rules="x"}', "frontdesk_decisions_total has no label rules"),
        ("sum by (le) (frontdesk_updates_total)", "no metric of the query has the label le"),
        ("sum by (chat) (up)", "no metric of the query has the label chat"),
    ],
)
def test_a_name_that_does_not_exist_is_found(query: str, problem: str) -> None:
    assert list(problems(query, labels())) == [problem]


def test_every_metric_is_shown_or_watched() -> None:
    named = " ".join(queries().values())
    # The version is for tables, and how long a reading takes is for whoever doubts it.
    unused = {"frontdesk_build_info", "frontdesk_read_seconds", "frontdesk_training_run_seconds"}
    assert {name for name in labels() if name not in named} == unused


def test_what_a_support_team_needs_has_an_alert() -> None:
    watched = " ".join(str(rule["expr"]) for rule in alerts().values())
    for metric in (
        metrics.PENDING_OLDEST.name,
        metrics.INBOX_OLDEST.name,
        metrics.QUEUE_OLDEST.name,
        metrics.LONGEST_WAITING.name,
        'frontdesk_inbox_updates{state="parked"}',
        'frontdesk_deliveries_total{outcome="failed"}',
        'frontdesk_deliveries_total{outcome="uncertain"}',
        "frontdesk_model_refused",
        "frontdesk_chores_failed_total",
        "frontdesk_operators_chat_usable",
        "frontdesk_last_poll_timestamp_seconds",
        "frontdesk_webhook_lost",
        "frontdesk_free_bytes",
        'frontdesk_training_last_run{state="failed"}',
        'up{job="frontdesk"}',
    ):
        assert metric in watched, metric


@pytest.mark.parametrize("name", alerts())
def test_every_alert_says_what_to_do_and_has_its_section(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in ({"none"} if name == WATCHDOG else {"page", "ticket"})
    assert len(rule["annotations"]["summary"]) > 60
    assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{name.lower()}"
    text = MONITORING.read_text(encoding="utf-8")
    section = re.search(rf"^### {name}\n(.*?)(?=^##)", text, re.M | re.S)
    assert section is not None, "no section in docs/monitoring.md"
    assert "What to do: " in section[1]


def test_the_documentation_has_no_alert_that_is_gone() -> None:
    text = MONITORING.read_text(encoding="utf-8")
    assert set(re.findall(r"^### (Frontdesk\w+)$", text, re.M)) == set(alerts())
    assert {name.lower() for name in alerts()} >= set(re.findall(r"\(#(frontdesk\w+)\)", text))


def test_the_documentation_has_every_metric_as_it_is() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| (.+) \|$",
        MONITORING.read_text(encoding="utf-8"),
        re.M,
    )
    found = {name: (kind, labels, of) for name, kind, labels, of, _ in rows}
    meanings = {name: meaning for name, _, _, _, meaning in rows}
    expected = {
        read.name: ("gauge", ", ".join(read.labels) or "–", "scheduler") for read in metrics.READ
    }
    texts = {read.name: read.text for read in metrics.READ}
    known = labels()
    for process, some in [("each", metrics.OF_EVERY_PROCESS), *metrics.OF.items()]:
        for metric in some:
            [family] = metric.collect()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            before = expected.get(name)
            of = process if before is None else f"{before[2]}, {process}"
            expected[name] = (family.type, ", ".join(known[name]) or "–", of)
            texts[name] = family.documentation
    assert found == expected
    for name, text in texts.items():
        assert meanings[name].startswith(text), name


def test_the_documentation_says_of_every_chore_what_it_does() -> None:
    text = MONITORING.read_text(encoding="utf-8")
    [values] = re.findall(r"^\| `frontdesk_chores_failed_total` .* `chore`: ([\w, ]+)", text, re.M)
    [family] = metrics.CHORES_FAILED.collect()
    chores = {sample.labels["chore"] for sample in family.samples}
    assert set(values.strip().split(", ")) == chores
    section = text.partition("### FrontdeskChoreFails\n")[2].partition("###")[0]
    assert {chore for chore in chores if f"`{chore}`" not in section} == set()


def test_every_panel_that_the_documentation_names_is_there() -> None:
    named = re.findall(r"\*([A-Z][^*\n]+)\*", MONITORING.read_text(encoding="utf-8"))
    titles = [panel["title"] for panel in panels()]
    assert named
    assert [name for name in named if not any(t.startswith(name) for t in titles)] == []


def test_no_command_of_the_documentation_has_the_address_of_redis_among_its_arguments() -> None:
    lines = re.findall(r"^    (.*\$REDIS_URL.*)$", MONITORING.read_text(encoding="utf-8"), re.M)
    assert len(lines) == 2
    for line in lines:
        assert re.match(r'RQ_(DASHBOARD_)?REDIS_URL="\$REDIS_URL" rq', line), line
        assert line.count("REDIS_URL") == 2, line


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    found = dashboard()
    assert found["schemaVersion"] >= 39
    assert found["uid"] == "frontdesk"
    [variable] = found["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    assert "id" not in found, "an id belongs to one Grafana"
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))


def test_no_panel_covers_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_prometheus_finds_the_services_of_docker_compose_and_the_alerts() -> None:
    config = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))
    assert [PROMETHEUS.parent / name for name in config["rule_files"]] == [ALERTS]
    [job] = config["scrape_configs"]
    assert job["job_name"] == "frontdesk"
    [found] = job["dns_sd_configs"]
    assert set(found["names"]) == set(metrics.OF)
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f'METRICS_PORT: "{found["port"]}"' in compose, "whatever .env says for other uses"


def test_prometheus_grafana_and_alertmanager_can_be_added_to_docker_compose() -> None:
    checker = pytest.importorskip("check_jsonschema", reason="needs pip install check-jsonschema")
    jsonschema = pytest.importorskip("jsonschema")
    folder = Path(checker.__file__).parent / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    file: Json = {"services": {}, "volumes": {}, "networks": {}}
    for name in ("monitoring.yml", "alertmanager.yml"):
        each = yaml.safe_load((ROOT / "docker" / name).read_text(encoding="utf-8"))
        jsonschema.Draft7Validator(schema).validate(each)
        for kind in file:
            file[kind] |= each.get(kind, {})
    main = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for name, service in file["services"].items():
        assert name not in main["services"]
        assert set(service["networks"]) <= {*main["networks"], *file["networks"]}
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"]), "a version, pinned"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service["volumes"]:
            if not isinstance(volume, str):  # a file that a desk makes: never a folder by mistake
                assert volume["bind"] == {"create_host_path": False}
                continue
            source = volume.split(":")[0]
            assert (
                (ROOT / source).is_dir() if source.startswith("./") else source in file["volumes"]
            )
    grafana = ROOT / "ops" / "grafana" / "provisioning"
    [source] = yaml.safe_load((grafana / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"].split("//")[1].split(":")[0] in file["services"]


def test_each_alert_has_somebody_who_hears_of_it_and_the_passwords_stay_out_of_git() -> None:
    text = ALERTMANAGER.read_text(encoding="utf-8")
    assert re.findall(r"password: *(\S*)", text) == ['""']
    assert "/alertmanager.yml" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    config = yaml.safe_load(text)
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    routed = {
        re.fullmatch(r'severity="(\w+)"', matcher)[1]: route["receiver"]  # type: ignore[index]
        for route in config["route"]["routes"]
        for matcher in route["matchers"]
    }
    for severity in {rule["labels"]["severity"] for rule in alerts().values()}:
        receiver = routed.pop(severity, config["route"]["receiver"])
        assert any(key.endswith("_configs") for key in receivers.pop(receiver)), severity
    assert not routed
    assert not receivers


def test_prometheus_sends_alerts_to_the_alertmanager_of_compose_where_it_is() -> None:
    [sent] = yaml.safe_load(PROMETHEUS.read_text())["alerting"]["alertmanagers"]
    [found] = sent["dns_sd_configs"]
    file = yaml.safe_load((ROOT / "docker" / "alertmanager.yml").read_text(encoding="utf-8"))
    assert found["names"] == list(file["services"])
    assert found["port"] == 9093


@pytest.mark.parametrize("process", metrics.OF)
def test_a_process_whose_container_is_stopped_is_missed(process: str) -> None:
    assert "absent(" in alerts()[STOPPED[process]]["expr"]


def promtool(*arguments: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not there (Debian: apt install prometheus)")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_configuration_with_the_alerts() -> None:
    promtool("check", "config", str(PROMETHEUS))


def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries().values())
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    promtool("check", "rules", str(path))


WELL = {
    'up{job="frontdesk",process="bot"}': "1x100",
    'up{job="frontdesk",process="training"}': "1x100",
    'process_start_time_seconds{job="frontdesk",process="bot"}': "1x100",
    'frontdesk_ready{need="database",process="bot"}': "1x100",
    'frontdesk_heartbeat_age_seconds{process="bot"}': "1x100",
    'frontdesk_clock_offset_seconds{process="bot"}': "-0.5x100",
    'frontdesk_model_info{version="1"}': "1x100",
    'frontdesk_lease_held{lease="bot"}': "1x100",
    "frontdesk_model_refused": "0x100",
    "frontdesk_operators_chat_usable": "1x100",
    'frontdesk_last_poll_timestamp_seconds{instance="polls"}': "0+15x100",
    'frontdesk_last_poll_timestamp_seconds{instance="standby"}': "0x100",
    "frontdesk_webhook_lost": "0x10 1x4 0x90",
    "frontdesk_webhook_pending_updates": "3x100",
    "frontdesk_webhook_last_error_timestamp_seconds": "0x100",
    'frontdesk_read_timestamp_seconds{source="database"}': "0+15x100",
    "frontdesk_messages_oldest_pending_seconds": "0 5 2 0x97",
    "frontdesk_inbox_oldest_seconds": "0x100",
    'frontdesk_inbox_updates{state="parked"}': "0x100",
    "frontdesk_deliveries_oldest_seconds": "1x100",
    "frontdesk_conversations_longest_waiting_seconds": "900x100",
    'frontdesk_queue_oldest_seconds{queue="classify"}': "0x100",
    "frontdesk_messages_late_total": "3x100",
    'frontdesk_chores_failed_total{chore="retrain"}': "0x10 2x90",
    'frontdesk_deliveries_total{outcome="failed"}': "7x100",
    'frontdesk_deliveries_total{outcome="uncertain"}': "1x100",
    'frontdesk_decisions_total{action="answer",rule="confident"}': "0+9x100",
    'frontdesk_decisions_total{action="clarify",rule="unsure"}': "0+1x100",
    'frontdesk_telegram_errors_total{code="401"}': "0x100",
    'frontdesk_telegram_errors_total{code="404"}': "0x100",
    'frontdesk_telegram_errors_total{code="409"}': "2x100",
    'frontdesk_telegram_errors_total{code="502"}': "2x100",
    'frontdesk_training_last_run{state="failed"}': "0x100",
    'frontdesk_free_bytes{directory="models",process="training"}': "9e9x100",
    'frontdesk_free_bytes{directory="data",process="scheduler"}': "9e9x100",
    'frontdesk_training_runs_total{state="rejected"}': "0x20 1x20 2x60",
    'frontdesk_training_runs_total{state="held"}': "0x10 1x10 2x10 3x10 4x60",
    'frontdesk_training_runs_total{state="promoted"}': "4x100",
}
"""Series of a desk in order, a sample every 15 seconds."""
GONE = "_x100"
CODES = ("401", "404", "409")
BAD: dict[str, dict[str, str]] = {
    "FrontdeskNobodyAnswers": {"frontdesk_messages_oldest_pending_seconds": "0+15x100"},
    "FrontdeskUpdatesUnhandled": {"frontdesk_inbox_oldest_seconds": "0+15x100"},
    "FrontdeskDeliveriesWait": {"frontdesk_deliveries_oldest_seconds": "0+15x100"},
    "FrontdeskLateReplies": {"frontdesk_messages_late_total": "3x50 4x50"},
    "FrontdeskCustomersWait": {"frontdesk_conversations_longest_waiting_seconds": "7000+15x100"},
    "FrontdeskUpdatesParked": {'frontdesk_inbox_updates{state="parked"}': "0x50 1x50"},
    "FrontdeskDeliveriesFail": {'frontdesk_deliveries_total{outcome="failed"}': "7x50 8x50"},
    "FrontdeskDeliveriesUncertain": {
        'frontdesk_deliveries_total{outcome="uncertain"}': "1x50 9x50"
    },
    "FrontdeskUnprocessable": {
        'frontdesk_decisions_total{action="escalate",rule="unprocessable"}': "0x50 1x50"
    },
    "FrontdeskRestarts": {
        'process_start_time_seconds{job="frontdesk",process="bot"}': "1x40 2x10 3x10 4x40"
    },
    "FrontdeskProcessDown": {'up{job="frontdesk",process="bot"}': "1x50 0x50"},
    "FrontdeskNoWorker": {'frontdesk_model_info{version="1"}': GONE},
    "FrontdeskNoScheduler": {'frontdesk_read_timestamp_seconds{source="database"}': "0x100"},
    "FrontdeskChoreFails": {'frontdesk_chores_failed_total{chore="retrain"}': "0+15x100"},
    "FrontdeskNobodyLeads": {'frontdesk_lease_held{lease="bot"}': "1x50 0x50"},
    "FrontdeskNotReady": {'frontdesk_ready{need="database",process="bot"}': "1x50 0x50"},
    "FrontdeskHangs": {'frontdesk_heartbeat_age_seconds{process="bot"}': "0+15x100"},
    "FrontdeskQueueOld": {'frontdesk_queue_oldest_seconds{queue="classify"}': "0+15x100"},
    "FrontdeskTokenOrPoller": {'frontdesk_telegram_errors_total{code="409"}': "2+1x100"},
    "FrontdeskClockDiffers": {'frontdesk_clock_offset_seconds{process="bot"}': "0x30 -25x70"},
    "FrontdeskTelegramAway": {
        'frontdesk_last_poll_timestamp_seconds{instance="polls"}': "0+15x60 900x40"
    },
    "FrontdeskTelegramFails": {'frontdesk_telegram_errors_total{code="502"}': "2+1x100"},
    "FrontdeskWebhookFails": {"frontdesk_webhook_last_error_timestamp_seconds": "0+15x100"},
    "FrontdeskOperatorsChatUnusable": {"frontdesk_operators_chat_usable": "1x50 0x50"},
    "FrontdeskDiskFull": {
        'frontdesk_free_bytes{directory="models",process="training"}': "9e9x20 1.9e9x80"
    },
    "FrontdeskModelRefused": {"frontdesk_model_refused": "0x50 1x50"},
    "FrontdeskTrainingFails": {'frontdesk_training_last_run{state="failed"}': "0x50 1x50"},
    "FrontdeskNothingPromoted": {
        'frontdesk_training_runs_total{state="rejected"}': "0x20 1x20 2x20 3x40"
    },
}
STOPPED = {
    "bot": "FrontdeskNobodyLeads",
    "inference": "FrontdeskNoWorker",
    "training": "FrontdeskNoTraining",
    "scheduler": "FrontdeskNoScheduler",
}
"""Which alert tells of a container that is stopped: its target is gone, and `up` with it."""
LONG = {
    'frontdesk_read_timestamp_seconds{source="database"}': "0+60x100",
    'frontdesk_last_poll_timestamp_seconds{instance="polls"}': "0+60x100",
}
"""For a sample a minute."""
SLOW = LONG | {
    'frontdesk_decisions_total{action="answer",rule="confident"}': "0+9x30 270x70",
    'frontdesk_decisions_total{action="clarify",rule="unsure"}': "0x30 0+9x70",
}
"""For FrontdeskAutomationFell: after 30 minutes nothing is answered any more."""


ONCE_A_MINUTE = " ".join(f"_ {number * 15 // 61} _" for number in range(34))
"""A counter of what fails every 61 seconds. It has a sample every 15 seconds and not at the moments
at which rules are looked at, for a series of one every 5."""
EARLY = {"frontdesk_webhook_pending_updates": "0x100"}
"""For the first minutes, in which an error at 0 was just now."""
LOOP = "0 stale _ _ 0 stale _ " * 15
"""`up` of a process that ends as soon as it begins: in between it is no target."""


def firing(
    name: str, series: dict[str, str], expected: list[str], minutes: int = 20, interval: str = "15s"
) -> Json:
    return {
        "name": name,
        "interval": interval,
        "input_series": [{"series": s, "values": v} for s, v in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minutes}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1}
                    for alert in [*expected, WATCHDOG]
                ],
            }
        ],
    }


def test_each_alert_fires_for_its_trouble_alone_and_all_are_quiet_when_all_is_well(
    tmp_path: Path,
) -> None:
    slow = "FrontdeskAutomationFell"
    assert {*BAD, slow, STOPPED["training"], WATCHDOG} == set(alerts())
    cases = [firing("a desk in order", WELL, [])]
    cases += [firing(name, WELL | series, [name]) for name, series in BAD.items()]
    standby = {
        'frontdesk_operators_chat_usable{instance="standby"}': "0x100",
        'frontdesk_lease_held{instance="standby",lease="bot"}': "0x100",
    }
    cases.append(firing("a standby began while the group was unusable", WELL | standby, []))
    full = {'frontdesk_free_bytes{directory="data",process="scheduler"}': "9e9x20 1.9e9x80"}
    cases.append(firing("no room for data", WELL | full, ["FrontdeskDiskFull"]))
    brief = {'frontdesk_free_bytes{directory="models",process="training"}': "9e9x50 1.9e9x50"}
    cases.append(firing("room was short for seven minutes", WELL | brief, []))
    lost = {"frontdesk_webhook_lost": "0x20 1x80"}
    nothing = "FrontdeskNothingPromoted"
    for when, sample, expected in (
        ("before", 5, [nothing]),
        ("between", 45, []),
        ("after", 70, []),
    ):
        changes = {
            'frontdesk_model_info{version="1"}': f"1x{sample} stale",
            'frontdesk_model_info{version="2"}': f"_x{sample} 1x{100 - sample}",
        }
        series = WELL | BAD[nothing] | changes
        cases.append(firing(f"{when} three rejected another came to serve", series, expected))
    twice = {'frontdesk_model_info{instance="2",version="1"}': "1x100"}
    cases.append(firing("two rejected, and two workers", WELL | twice, []))
    cases.append(firing("another has the webhook", WELL | lost, ["FrontdeskWebhookFails"]))
    hooked = {'frontdesk_last_poll_timestamp_seconds{instance="polls"}': "0x100"}
    cases.append(firing("the bot has a webhook", WELL | hooked, []))
    cases.append(firing(slow, WELL | SLOW, [slow], minutes=99, interval="1m"))
    training = 'up{job="frontdesk",process="training"}'
    stopped = WELL | LONG | {training: "1x20 _x80"}
    cases.append(
        firing("training is stopped", stopped, [STOPPED["training"]], minutes=99, interval="1m")
    )
    starting = WELL | LONG | {training: "_x50 1x50"}
    cases += [
        firing(f"a first start, {minutes} minutes on", starting, [], minutes, interval="1m")
        for minutes in (2, 30, 49, 70)
    ]
    often = {'frontdesk_chores_failed_total{chore="note_erased"}': ONCE_A_MINUTE}
    often = WELL | EARLY | often
    cases.append(firing("a chore of each minute", often, ["FrontdeskChoreFails"], 8, "5s"))
    single = {f'frontdesk_telegram_errors_total{{code="{code}"}}': "0x60 1x40" for code in CODES}
    cases += [firing("a 401, a 404 and a 409", WELL | single, [], m) for m in range(15, 21)]
    rare = {'frontdesk_telegram_errors_total{code="401"}': ONCE_A_MINUTE}
    rare = WELL | EARLY | rare
    cases.append(firing("a quiet webhook's token", rare, ["FrontdeskTokenOrPoller"], 8, "5s"))
    loop = {'up{job="frontdesk",process="inference",instance="2"}': LOOP}
    cases.append(firing("a replica never begins", WELL | loop, ["FrontdeskProcessDown"]))
    slowly = {
        'process_start_time_seconds{job="frontdesk",process="bot"}': " ".join(
            str(number // 12) for number in range(101)
        )
    }
    restarts = WELL | LONG | slowly
    cases += [
        firing("killed every twelve minutes", restarts, ["FrontdeskRestarts"], 99, interval="1m"),
        firing("killed five times in an hour", restarts, [], 65, interval="1m"),
    ]
    loops = WELL | LONG | {training: f"1x20 {LOOP}"}
    expected = ["FrontdeskNoTraining", "FrontdeskProcessDown"]
    cases.append(firing("training never begins", loops, expected, 99, interval="1m"))
    path = tmp_path / "alerts_test.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": cases})
    )
    promtool("test", "rules", str(path))
