"""What Nubra's REST calls have in common (specification section 2)."""

SESSION_EXPIRED = 440
SESSION_OVER = (401, SESSION_EXPIRED)
"""HTTP statuses that say that the session has ended; 440 is Nubra's own."""


def request_headers(device_id: str, bearer: str = "") -> dict[str, str]:
    """The headers of a call; `bearer` is the session token, or the half-way token of a login."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "x-device-id": device_id,
        "x-app-version": "0.5.4",
        "x-device-os": "sdk",
        "Cookie": f"deviceId={device_id}",
    }
    return headers | {"Authorization": f"Bearer {bearer}"} if bearer else headers
