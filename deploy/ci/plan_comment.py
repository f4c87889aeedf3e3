"""Plan in CI: run `ctl plan`, and keep one comment on the pull or merge request up to date with it.

Exits with 0 where the plan's exit code is one that may pass, else with that code. Needs Python alone.
"""

import argparse
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARK = "<!-- sluice plan: {} -->"
LONGEST = 60_000
FENCES = ("```", "~~~")
PAGE = 100
TIMEOUT_S = 30.0
MEANINGS = {
    0: "nothing to do",
    1: "error",
    2: "changes",
    3: "somebody changed a gateway",
    4: "refused as unsafe",
}


class CannotComment(Exception):
    """The comment could not be written."""


@dataclass(frozen=True)
class Comments:
    """The comments of one pull or merge request."""

    url: str
    """Where they are listed and made."""
    one: str
    """Where one is changed, before its id."""
    change: str
    """The method that changes one."""
    headers: Mapping[str, str]

    @classmethod
    def on_github(cls, env: Mapping[str, str]) -> "Comments":
        issues = f"{env['GITHUB_API_URL']}/repos/{env['GITHUB_REPOSITORY']}/issues"
        headers = {
            "Authorization": f"Bearer {env['GITHUB_TOKEN']}",
            "Accept": "application/vnd.github+json",
        }
        number = number_in(env, "SLUICE_PULL_REQUEST")
        return cls(f"{issues}/{number}/comments", f"{issues}/comments", "PATCH", headers)

    @classmethod
    def on_gitlab(cls, env: Mapping[str, str]) -> "Comments":
        project = f"{env['CI_API_V4_URL']}/projects/{env['CI_PROJECT_ID']}"
        notes = f"{project}/merge_requests/{number_in(env, 'CI_MERGE_REQUEST_IID')}/notes"
        return cls(notes, notes, "PUT", {"PRIVATE-TOKEN": env["SLUICE_GITLAB_TOKEN"]})

    def keep(self, mark: str, text: str) -> None:
        """Change the comment that begins with the mark, or make it. Raises CannotComment."""
        body = {"body": f"{mark}\n{text}"}
        found = next((each["id"] for each in self._all() if str(each.get("body")).startswith(mark)), None)
        if found is None:
            self._call("POST", self.url, body)
        else:
            self._call(self.change, f"{self.one}/{found}", body)

    def _all(self) -> Iterator[dict[str, Any]]:  # Any: JSON of the host
        page = 1
        while True:
            listed = self._call("GET", f"{self.url}?per_page={PAGE}&page={page}")
            yield from listed
            if len(listed) < PAGE:
                return
            page += 1

    def _call(self, method: str, url: str, body: Mapping[str, str] | None = None) -> Any:  # Any: JSON
        content = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        request = urllib.request.Request(url, content, headers, method=method)  # noqa: S310 - the host's own
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise CannotComment(f"{method} {url} answered {error.code}") from None
        except (OSError, ValueError) as error:
            raise CannotComment(f"{method} {url}: {error}") from None


def number_in(env: Mapping[str, str], name: str) -> int:
    """The number of the pull or merge request. Raises CannotComment."""
    if not env[name].isdecimal():
        raise CannotComment(f"{name} has no number, for it is no pull or merge request that started this job")
    return int(env[name])


def planned(ctl: str, files: Sequence[str], options: Sequence[str]) -> tuple[int, str]:
    """The exit code of `ctl plan`, and the text of the comment."""
    named = [argument for file in files for argument in ("-f", file)]
    done = subprocess.run(  # noqa: S603 - the program that the caller names
        [ctl, "plan", *named, *options, "-o", "markdown"], capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stderr)
    if done.stdout.strip():
        text = done.stdout
    else:
        text = f"`ctl plan` failed:\n\n~~~~~~text\n{done.stderr.strip().replace('~~~~~~', '~~~')}\n~~~~~~\n"
    if len(text) > LONGEST:
        text = shortened(text)
        sys.stdout.write(done.stdout)
    meaning = MEANINGS.get(done.returncode, "unknown")
    return done.returncode, f"{text}\nexit code {done.returncode}: {meaning}\n"


def shortened(text: str) -> str:
    """The beginning of a comment, with what it leaves open closed, or what follows would be a part of it."""
    lines = text[:LONGEST].splitlines()[:-1]
    fence, folded = "", 0
    for line in lines:
        if fence:
            fence = "" if line == fence else fence
        else:
            fence = line[: len(line) - len(line.lstrip(line[0]))] if line.startswith(FENCES) else ""
            folded += line.startswith("<details>") - line.startswith("</details>")
    return "\n".join([*lines, fence, *["</details>"] * folded, "", "… the rest is in the log of the job", ""])


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=("github", "gitlab"), required=True)
    parser.add_argument("--name", default="queues", help="tells several plans on one request apart")
    parser.add_argument("--pass-on", default="0,2", help="exit codes of the plan that let the job pass")
    parser.add_argument("--ctl", default="ctl", help="the program to run")
    parser.add_argument(
        "--option", action="append", default=[], help="an option of ctl plan: --option=--prune"
    )
    parser.add_argument("file", nargs="+")
    given = parser.parse_args(arguments)
    passing = {int(code) for code in given.pass_on.split(",")}
    code, text = planned(given.ctl, given.file, given.option)
    try:
        comments = Comments.on_github(env) if given.on == "github" else Comments.on_gitlab(env)
        comments.keep(MARK.format(given.name), text)
    except (CannotComment, KeyError) as error:
        what = f"the variable {error} is not set" if isinstance(error, KeyError) else str(error)
        sys.stderr.write(f"error: the plan could not be commented: {what}\n")
        return code or 1
    if env.get("GITHUB_OUTPUT"):
        with open(env["GITHUB_OUTPUT"], "a", encoding="utf-8") as output:  # noqa: PTH123 - one line at its end
            output.write(f"exit-code={code}\n")
    return 0 if code in passing else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
