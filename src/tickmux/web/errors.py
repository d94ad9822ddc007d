"""Why a call of the API is refused: a status, a code, and a message that says what was wrong and what to do."""

from collections.abc import Mapping


class ApiError(Exception):
    """A refusal as the client sees it. `fields` says what is wrong with which input, `retry_after` is seconds."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.retry_after = retry_after


def invalid(fields: Mapping[str, str]) -> ApiError:
    """Particular inputs are wrong."""
    return ApiError(422, "INVALID_PARAMETERS", "; ".join(fields.values()), fields=fields)
