"""Reading `.env` files, and when not to.

A `.env` in the working directory is read by whoever starts tickmux there, and it may name other brokers' addresses,
another data folder, another database. So one that somebody else could have written is not read: one of another owner
than the user or root, or one that others may write to.
"""

import grp
import os
import pwd
import stat
from pathlib import Path

from dotenv import dotenv_values


class EnvFileUnreadable(Exception):
    """The file is there and cannot be read; the message is one line."""


def read_env(path: Path) -> tuple[dict[str, str], str]:
    """The variables that the file sets, empty values left out, and why it is not to be trusted (empty when it is).

    Without such a file there are no variables. Raises EnvFileUnreadable.
    """
    try:
        if not path.is_file():
            return {}, ""
        with path.open(encoding="utf-8") as file:
            distrust = _distrust(os.fstat(file.fileno())) or _distrust(path.lstat(), is_link=path.is_symlink())
            found = dotenv_values(stream=file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise EnvFileUnreadable(f"{path} cannot be read: {why}") from None
    return {name: value for name, value in found.items() if value and value.strip()}, distrust


def _distrust(status: os.stat_result, *, is_link: bool = False) -> str:
    if status.st_uid not in (os.geteuid(), 0):
        return f"it belongs to {_user(status.st_uid)}"
    if is_link:
        return ""  # whoever may write to a link's folder and not to the link is seen by its owner
    if status.st_mode & stat.S_IWOTH:
        return "everybody may write to it"
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid):
        return "its group may write to it"
    return ""


def _is_private(group: int) -> bool:
    """Whether the group is the user's own, as Debian makes one for each user: then nobody else is in it."""
    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
