"""The redirect of a login in the browser: one page that is opened, nothing that another page fetches."""

import asyncio

import pytest

from tickmux.cli.redirect import LOOPBACK, RedirectCatcher


async def get(port, target, *headers):
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    head = "\r\n".join((f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""))
    writer.write(head.encode())
    status = (await reader.read()).split(b" ")[1]
    writer.close()
    return int(status)


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
        ("sec-fetch-mode: cors", "sec-fetch-dest: empty"),
        ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
    ],
)
def test_what_another_page_fetches_unseen_is_no_login(headers):
    async def main():
        catcher = RedirectCatcher(0)
        await catcher.listen()
        try:
            assert await get(catcher.port, "/flattrade/callback?request_code=theirs", *headers) == 404
            opened = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site")
            assert await get(catcher.port, "/flattrade/callback?request_code=ours", *opened) == 200
            assert await get(catcher.port, "/flattrade/callback?request_code=later") == 200
            assert await catcher.wait(1) == {"request_code": "ours"}
        finally:
            catcher.close()

    asyncio.run(main())


def test_a_browser_that_does_not_tell_what_for_is_believed():
    async def main():
        catcher = RedirectCatcher(0)
        await catcher.listen()
        try:
            assert await get(catcher.port, "/x?request_code=1") == 200
            assert await catcher.wait(1) == {"request_code": "1"}
        finally:
            catcher.close()

    asyncio.run(main())
