"""From the values of a job file to a `Draft`: everything checked, nothing read or sent yet but the file itself."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gondwana.core.errors import InvalidJobFile, InvalidValue
from gondwana.core.money import parse_usd
from gondwana.core.units import parse_seconds
from gondwana.sdk.jobfile.fields import Fields, invalid, unsupported
from gondwana.sdk.jobfile.market import read_market
from gondwana.sdk.jobfile.reader import read_yaml
from gondwana.sdk.jobfile.resources import read_resources
from gondwana.sdk.jobfile.train import read_train
from gondwana.wire.jobs import NODES_MAX, TEXT_BYTES_MAX, JobSpec

NAME_CHARS_MAX: Final = 63
ENVS_MAX: Final = 256
FILE_MOUNTS_MAX: Final = 64
DURATION_SECONDS_DEFAULT: Final = 86_400.0
DURATION_SECONDS_MAX: Final = 30 * 86_400.0
_NAME: Final = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BUCKET: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainData:
    """What to train on: a local file or folder."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job whose local files are known but not uploaded: `spec` still lacks their blobs."""

    spec: JobSpec
    workdir: Path | None = None
    file_mounts: dict[str, Path] = field(
        default_factory=dict[str, Path]
    )  # path on the machine -> local
    data: TrainData | None = None


def read_job_file(path: Path) -> Draft:
    """The draft that the file describes; raises the Invalid errors, naming the key."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InvalidJobFile(f"there is no file {path}", hint="gondwana launch JOB.yaml") from None
    except OSError as error:
        raise InvalidJobFile(f"{path} cannot be read: {error.strerror}") from None
    return parse_job(read_yaml(data, source=str(path)), folder=path.parent, default_name=path.stem)


def parse_job(values: dict[str, Any], *, folder: Path, default_name: str) -> Draft:
    """The draft of a job file's values; relative paths start at `folder`."""
    top = Fields(values, "")
    top.check_keys()
    extension = top.mapping("gondwana")
    extension.check_keys()
    _check_purpose(top, extension)
    workdir = _workdir(top, extension, folder)
    train = (
        read_train(extension.mapping("train"), workdir or folder)
        if extension.has("train")
        else None
    )
    terms = read_market(extension, top.mapping("resources"))
    spec = JobSpec(
        name=_name(top, default_name),
        num_nodes=top.integer("num_nodes", 1, least=1, most=NODES_MAX),
        resources=read_resources(
            top.mapping("resources"),
            may_order=terms.mechanism in ("", "posted") and terms.starts_at is None,
        ),
        envs=_envs(top.mapping("envs")),
        setup=top.text("setup", "", hint="write shell commands", chars_max=TEXT_BYTES_MAX),
        run=top.text("run", "", hint="write shell commands", chars_max=TEXT_BYTES_MAX),
        budget_micro_usd=_dollars(extension, "budget_usd"),
        project=extension.text(
            "project", "", hint="write a project's name", chars_max=NAME_CHARS_MAX
        ),
        price_cap_micro_usd_per_device_hour=_dollars(extension, "price_cap_usd_per_gpu_hour"),
        seconds_max=_duration(extension, terms.lease_seconds),
        train=train,
        is_elastic=extension.flag("elastic"),
        market=terms,
    )
    return Draft(
        spec=spec,
        workdir=workdir,
        file_mounts=_file_mounts(top.mapping("file_mounts"), folder),
        data=_data(extension.mapping("train"), folder) if train else None,
    )


def _check_purpose(top: Fields, extension: Fields) -> None:
    """A job runs commands or trains; not both, not neither."""
    if extension.has("train"):
        for key in ("run", "setup", "num_nodes"):
            if top.has(key):
                raise InvalidValue(
                    f"{key} and gondwana.train do not go together",
                    field=key, hint=f"take {key} out: machines of a training are gondwana.train.islands",
                )  # fmt: skip
    elif not top.has("run"):
        raise InvalidValue(
            "the job does nothing: it has neither run nor gondwana.train",
            field="run", hint="write run: and shell commands, e.g. run: python train.py",
        )  # fmt: skip


def _name(top: Fields, default: str) -> str:
    usual = (
        re.sub(r"[^-_.A-Za-z0-9]+", "-", default).strip("-_.")[:NAME_CHARS_MAX].rstrip("-_.")
        or "job"
    )
    name = top.text("name", usual, hint="write a word")
    if _NAME.fullmatch(name) is None or len(name) > NAME_CHARS_MAX:
        top.refuse(
            "name", "is not a name", f"letters, digits, - _ . in between, at most {NAME_CHARS_MAX}"
        )
    return name


def _workdir(top: Fields, extension: Fields, folder: Path) -> Path | None:
    value = top.values.get("workdir")
    if isinstance(value, dict):
        raise unsupported("workdir.url", "check the repository out, and name its folder")
    text = top.text("workdir", "", hint="name a folder")
    if not text:
        return folder if extension.has("train") else None  # a recipe's folder is the job's
    path = _local(text, folder)
    if not path.is_dir():
        top.refuse(
            "workdir", "is not a folder here", f"make it, or name another; looked for {path}"
        )
    return path


def _envs(fields: Fields) -> dict[str, str]:
    envs: dict[str, str] = {}
    if len(fields.values) > ENVS_MAX:
        raise invalid(
            fields.path,
            "…",
            f"has more than {ENVS_MAX} variables",
            "put them into a file in workdir",
        )
    for key, value in fields.values.items():
        name = str(key)
        if _ENV_NAME.fullmatch(name) is None:
            raise invalid(
                fields.path,
                name,
                "is not a variable's name",
                "letters, digits and _, no digit first",
            )
        if value is None:
            fields.refuse(key, "has no value", 'write one, or "" for an empty one')
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            fields.refuse(key, "is not text", f'write it with quotes: "{str(value).lower()}"')
        text = str(value)
        if len(text.encode()) > TEXT_BYTES_MAX or "\0" in text:
            fields.refuse(key, "is too long or holds a zero byte", "put it into a file in workdir")
        envs[name] = text
    return envs


def _file_mounts(fields: Fields, folder: Path) -> dict[str, Path]:
    mounts: dict[str, Path] = {}
    if len(fields.values) > FILE_MOUNTS_MAX:
        raise invalid(
            fields.path, "…", f"has more than {FILE_MOUNTS_MAX} entries", "mount a folder instead"
        )
    for key, value in fields.values.items():
        target = str(key)
        if isinstance(value, dict) or (isinstance(value, str) and _BUCKET.match(value)):
            raise unsupported(f"{fields.at(target)} from a bucket", "name a local file or folder")
        if not isinstance(value, str) or not value:
            fields.refuse(key, "is not a path", "name a local file or folder")
        if ".." in target.split("/") or target.rstrip("/") in {"", ".", "~"}:
            raise invalid(
                fields.path,
                target,
                "is not a place for files",
                "write a path such as data/ or /data",
            )
        source = _local(str(value), folder)
        if not source.exists():
            fields.refuse(key, "is not there", f"make it, or name another; looked for {source}")
        mounts[target] = source
    return mounts


def _data(train: Fields, folder: Path) -> TrainData:
    text = train.text("data", "", hint="name a file or a folder")
    if not text:
        raise InvalidValue(
            "gondwana.train.data is missing",
            field=train.at("data"),
            hint="name a file or a folder of text to train on",
        )
    path = _local(text, folder)
    if not path.exists():
        train.refuse("data", "is not there", f"name a file or a folder; looked for {path}")
    return TrainData(path=path)


def _local(text: str, folder: Path) -> Path:
    return folder / Path(text).expanduser()


def _dollars(fields: Fields, key: str) -> int | None:
    value = fields.values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        fields.refuse(key, "is not an amount in dollars", "write a number, e.g. 1.25")
    return parse_usd(value, field=fields.at(key))


def _duration(fields: Fields, lease_seconds: int | None) -> float:
    """How long a run may take; without a word on it, as long as its machines are leased for."""
    value = fields.values.get("max_duration")
    if value is None:
        usual = DURATION_SECONDS_DEFAULT if lease_seconds is None else float(lease_seconds)
        return min(usual, DURATION_SECONDS_MAX)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        fields.refuse("max_duration", "is not a time", "write 90s, 15m, 2h or 1d")
    seconds = parse_seconds(value, field=fields.at("max_duration"))
    if not 1.0 <= seconds <= DURATION_SECONDS_MAX:
        fields.refuse("max_duration", "is not a time a job may take", "write from 1s to 30d")
    return seconds
