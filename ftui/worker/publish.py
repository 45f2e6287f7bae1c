"""The result's way to the hub, where a recipe names a repository: whatever goes wrong there, the result is here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.context import JobContext


def publish(folder: Path, recipe: Recipe, context: JobContext) -> str | None:
    """Upload the result in `folder`; the address of the repository, None where none was asked for or it can't be."""
    repository = recipe.tracking.hub
    if repository is None:
        return None
    from huggingface_hub import HfApi

    by_hand = f"The result is in {folder}. Once the cause is gone: hf upload {repository} {folder}"
    context.progress(f"Uploading to {repository}", 0, None, unit="byte")
    try:
        api: Any = HfApi()
        made = api.create_repo(repository, private=recipe.tracking.hub_private, exist_ok=True)
        message = f"{recipe.name}, trained with ftui ({context.info.id})"
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except Exception as error:  # noqa: BLE001  (no network, login or server may cost a training that is done)
        context.warn(f"The upload to {repository} failed: {_cause(error)}", by_hand)
        return None
    return str(made)


def _cause(error: Exception) -> str:
    """The first line of what the hub's client says, with what to do about the two usual ones."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401 or type(error).__name__ == "LocalTokenNotFoundError":
        return f"there is no login that the hub accepts, see ftui login. {said}"
    if status == 403:
        return f"the login may not write there. {said}"
    return said
