"""The CI kit: one comment, kept up to date, and an exit code that a job can rely on."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.stand_in import StandIn, serving

ROOT = Path(__file__).parents[3]
CI = ROOT / "deploy" / "ci"
MARK = "<!-- sluice plan: queues -->"
ISSUE = "repos/team/repo/issues"
LISTED = "GET {}?per_page=100&page={}"
CANARY = "canary-token-of-the-job"


@pytest.fixture
def host() -> Iterator[StandIn]:
    """The API of GitHub or GitLab, as far as comments go."""
    made = StandIn()
    with serving(made):
        yield made


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder for the PATH, with a `ctl` that says what CTL_SAYS says and ends as CTL_ENDS says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    ctl = folder / "ctl"
    ctl.write_text('#!/bin/sh\nprintf "%s" "$CTL_SAYS"\necho "error: $*" >&2\nexit "$CTL_ENDS"\n')
    ctl.chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)
    return folder


def environment(bin_folder: Path, **values: str) -> dict[str, str]:
    return {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "CTL_SAYS": "## 1 to create",
        "CTL_ENDS": "2",
        **values,
    }


def github(
    host: StandIn, bin_folder: Path, tmp_path: Path, **values: str
) -> subprocess.CompletedProcess[str]:
    """The step of the composite action, as a runner runs it."""
    (step,) = yaml.safe_load((CI / "github-action" / "action.yml").read_text())["runs"]["steps"]
    env = environment(
        bin_folder,
        GITHUB_API_URL=origin(host),
        GITHUB_REPOSITORY="team/repo",
        GITHUB_OUTPUT=str(tmp_path / "output"),
        GITHUB_ACTION_PATH=str(CI / "github-action"),
        GITHUB_TOKEN=CANARY,
        SLUICE_PULL_REQUEST="7",
        FILES="queues.yaml\nteams with $(touch spaces)/\n\n",
        NAME="queues",
        OPTIONS="",
        PASS_ON="0,2",
    )
    return run(step["run"], {**env, **values}, tmp_path)


def run(script: str, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def origin(host: StandIn) -> str:
    return f"{host.url}/api/v1"


def comment(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "body": text}


def test_a_first_plan_is_commented(host: StandIn, bin_folder: Path, tmp_path: Path) -> None:
    host.says(LISTED.format(f"{ISSUE}/7/comments", 1), [comment(1, "looks good")])
    host.says(f"POST {ISSUE}/7/comments", comment(2, ""))
    done = github(host, bin_folder, tmp_path)
    assert done.returncode == 0, done.stderr
    (body,) = host.bodies(f"POST {ISSUE}/7/comments")
    assert body["body"].startswith(f"{MARK}\n## 1 to create")
    assert "exit code 2: changes" in body["body"]
    assert (tmp_path / "output").read_text() == "exit-code=2\n"
    assert "-f queues.yaml -f teams with $(touch spaces)/ -o markdown" in done.stderr
    assert not (tmp_path / "spaces").exists()
    assert CANARY not in done.stdout + done.stderr + body["body"]


def test_a_plan_is_made_with_the_options_of_the_apply(
    host: StandIn, bin_folder: Path, tmp_path: Path
) -> None:
    host.says(LISTED.format(f"{ISSUE}/7/comments", 1), [])
    host.says(f"POST {ISSUE}/7/comments", comment(2, ""))
    done = github(host, bin_folder, tmp_path, OPTIONS="--prune --allow-mass-delete")
    assert "teams with $(touch spaces)/ --prune --allow-mass-delete -o markdown" in done.stderr


def test_the_next_plan_changes_the_same_comment_wherever_it_stands(
    host: StandIn, bin_folder: Path, tmp_path: Path
) -> None:
    host.says(LISTED.format(f"{ISSUE}/7/comments", 1), [comment(number, "talk") for number in range(100)])
    host.says(LISTED.format(f"{ISSUE}/7/comments", 2), [comment(200, f"{MARK}\nbefore")])
    host.says(f"PATCH {ISSUE}/comments/200", comment(200, ""))
    assert github(host, bin_folder, tmp_path).returncode == 0
    assert len(host.bodies(f"PATCH {ISSUE}/comments/200")) == 1


@pytest.mark.parametrize(
    ("ends", "passing", "expected"),
    [("0", "0,2", 0), ("2", "0", 2), ("3", "0,2", 3), ("3", "0,2,3", 0), ("4", "0,2", 4)],
)
def test_the_job_ends_as_the_plan_says(
    host: StandIn, bin_folder: Path, tmp_path: Path, ends: str, passing: str, expected: int
) -> None:
    host.says(LISTED.format(f"{ISSUE}/7/comments", 1), [])
    host.says(f"POST {ISSUE}/7/comments", comment(2, ""))
    assert github(host, bin_folder, tmp_path, CTL_ENDS=ends, PASS_ON=passing).returncode == expected


def test_a_plan_that_fails_is_commented_with_its_error(
    host: StandIn, bin_folder: Path, tmp_path: Path
) -> None:
    host.says(LISTED.format(f"{ISSUE}/7/comments", 1), [])
    host.says(f"POST {ISSUE}/7/comments", comment(2, ""))
    assert github(host, bin_folder, tmp_path, CTL_ENDS="1", CTL_SAYS="").returncode == 1
    assert "error: plan -f queues.yaml" in host.bodies(f"POST {ISSUE}/7/comments")[0]["body"]


def test_a_plan_that_cannot_be_commented_fails_the_job(
    host: StandIn, bin_folder: Path, tmp_path: Path
) -> None:
    done = github(host, bin_folder, tmp_path)
    assert done.returncode == 2
    assert "the plan could not be commented" in done.stderr
    assert CANARY not in done.stderr
    assert github(host, bin_folder, tmp_path, CTL_ENDS="0").returncode == 1


def test_a_job_that_no_pull_request_started_says_so(host: StandIn, bin_folder: Path, tmp_path: Path) -> None:
    done = github(host, bin_folder, tmp_path, SLUICE_PULL_REQUEST="")
    assert done.returncode == 2
    assert "SLUICE_PULL_REQUEST has no number" in done.stderr


def test_a_plan_that_is_too_long_for_a_comment_is_cut_where_it_can_be_read(
    host: StandIn, bin_folder: Path, tmp_path: Path
) -> None:
    host.says(LISTED.format(f"{ISSUE}/7/comments", 1), [])
    host.says(f"POST {ISSUE}/7/comments", comment(2, ""))
    lines = "\n".join(f"+ queue q{number} </details>" for number in range(4000))
    whole = f"## plan\n<details>\n\n````diff\n```\n{lines}\n````\n\n</details>\nthe end\n"
    done = github(host, bin_folder, tmp_path, CTL_SAYS=whole)
    assert done.stdout == whole
    (body,) = host.bodies(f"POST {ISSUE}/7/comments")
    text, after = body["body"].split("\n````\n</details>\n")
    assert text.splitlines()[-1].endswith("</details>")
    assert "the rest is in the log of the job" in after
    assert "exit code 2: changes" in after
    assert len(body["body"]) < 65_536


def test_gitlab_gets_a_note_that_is_changed_by_the_next_plan(
    host: StandIn, bin_folder: Path, tmp_path: Path
) -> None:
    job = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["sluice-plan"]
    env = environment(
        bin_folder,
        **job["variables"],
        CI_API_V4_URL=origin(host),
        CI_PROJECT_ID="5",
        CI_MERGE_REQUEST_IID="9",
        SLUICE_GITLAB_TOKEN=CANARY,
    )
    notes = "projects/5/merge_requests/9/notes"
    host.says(LISTED.format(notes, 1), [], [comment(3, f"{MARK}\nbefore")])
    host.says(f"POST {notes}", comment(3, ""))
    host.says(f"PUT {notes}/3", comment(3, ""))
    for options in ("", "--prune --refresh"):
        given = {"SLUICE_CI": str(CI), "SLUICE_OPTIONS": options}
        done = run("\n".join(job["script"]), env | given, tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"-f queues.yaml {options} -o".replace("  ", " ") in done.stderr
    assert len(host.bodies(f"POST {notes}")) == len(host.bodies(f"PUT {notes}/3")) == 1


def test_no_input_of_the_action_is_put_into_a_script() -> None:
    (step,) = yaml.safe_load((CI / "github-action" / "action.yml").read_text())["runs"]["steps"]
    assert "${{" not in step["run"]


def test_the_hook_validates_the_files_that_it_is_given(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert re.search(hook["files"], "teams/queues.yaml")
    file = tmp_path / "queues.yaml"
    entry = [
        str(Path(sys.executable).parent / hook["entry"].split()[0]),
        *hook["entry"].split()[1:],
        str(file),
    ]
    for text, expected in (("keys: [{name: web}]\n", 0), ("keys: [{nmae: web}]\n", 1)):
        file.write_text(text)
        assert subprocess.run(entry, capture_output=True, check=False, timeout=120).returncode == expected
